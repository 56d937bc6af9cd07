package addons

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

const (
	certificateLife = 365 * 24 * time.Hour
	// renewBefore leaves a node that is brought up once a month enough time.
	renewBefore = 60 * 24 * time.Hour
	// metricsHost is how the API server calls the metrics server.
	metricsHost = "metrics-server.kube-system.svc"
)

// keyPair is PEM.
type keyPair struct{ certificate, key []byte }

// servingCertificate is the metrics server's: the one in the cluster while it is good for some time, else a new one. It vouches for itself and
// the APIService pins it, so nothing else can be impersonated with it.
func servingCertificate(ctx context.Context, client dynamic.Interface, now time.Time) (keyPair, error) {
	secret, err := client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(metav1.NamespaceSystem).Get(ctx, "metrics-server-tls", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return keyPair{}, fmt.Errorf("reading the metrics server's certificate: %w", err)
	}
	if err == nil {
		if existing, ok := stored(secret); ok && usable(existing, now) {
			return existing, nil
		}
	}
	return newCertificate(now)
}

func stored(secret *unstructured.Unstructured) (keyPair, bool) {
	var pair keyPair
	for name, target := range map[string]*[]byte{"tls.crt": &pair.certificate, "tls.key": &pair.key} {
		text, found, err := unstructured.NestedString(secret.Object, "data", name)
		if err != nil || !found {
			return keyPair{}, false
		}
		if *target, err = base64.StdEncoding.DecodeString(text); err != nil {
			return keyPair{}, false
		}
	}
	return pair, true
}

func usable(pair keyPair, now time.Time) bool {
	parsed, err := tls.X509KeyPair(pair.certificate, pair.key)
	if err != nil {
		return false
	}
	leaf, err := x509.ParseCertificate(parsed.Certificate[0])
	return err == nil && leaf.VerifyHostname(metricsHost) == nil && now.After(leaf.NotBefore) && now.Add(renewBefore).Before(leaf.NotAfter)
}

func newCertificate(now time.Time) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making the metrics server's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return keyPair{}, fmt.Errorf("choosing a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: metricsHost}, DNSNames: []string{metricsHost},
		// Clocks that were set back a little must not stop the metrics.
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keyPair{}, fmt.Errorf("signing the metrics server's certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding the metrics server's key: %w", err)
	}
	return keyPair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}, nil
}
