// Package pki makes the node's certificates: one authority for the cluster, one for etcd and one for the API server's front proxy. A
// certificate is made again when it has less than 30 days left or no longer names what it must; the authorities last ten years.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	life          = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
)

// Subject of a certificate and the names it serves under.
type Subject struct {
	File         string // without ending
	Authority    string
	CommonName   string
	Organization []string
	Names        []string
	Addresses    []netip.Addr
}

type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Ensure makes what is missing or due in this folder.
func Ensure(folder string, subjects []Subject, now time.Time) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	authorities := map[string]pair{}
	for _, subject := range subjects {
		if _, known := authorities[subject.Authority]; known {
			continue
		}
		authority, err := ensureAuthority(folder, subject.Authority, now)
		if err != nil {
			return fmt.Errorf("authority %s: %w", subject.Authority, err)
		}
		authorities[subject.Authority] = authority
	}
	for _, subject := range subjects {
		current, err := load(folder, subject.File)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("certificate %s: %w", subject.File, err)
		}
		if err == nil && !due(current.certificate, subject, authorities[subject.Authority].certificate, now) {
			continue
		}
		if err := issue(folder, subject, authorities[subject.Authority], now); err != nil {
			return fmt.Errorf("certificate %s: %w", subject.File, err)
		}
	}
	return ensureSigningKey(folder)
}

// due says whether a certificate must be made again.
func due(certificate *x509.Certificate, subject Subject, authority *x509.Certificate, now time.Time) bool {
	return now.Add(renewBefore).After(certificate.NotAfter) || !names(certificate, subject) || certificate.CheckSignatureFrom(authority) != nil
}

// names says whether a certificate is of this subject, and of all its names and addresses.
func names(certificate *x509.Certificate, subject Subject) bool {
	for _, address := range subject.Addresses {
		if !slices.ContainsFunc(certificate.IPAddresses, net.IP(address.AsSlice()).Equal) {
			return false
		}
	}
	for _, name := range subject.Names {
		if !slices.Contains(certificate.DNSNames, name) {
			return false
		}
	}
	return certificate.Subject.CommonName == subject.CommonName && slices.Equal(certificate.Subject.Organization, subject.Organization)
}

func ensureAuthority(folder, name string, now time.Time) (pair, error) {
	current, err := load(folder, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return current, err
	}
	template := x509.Certificate{
		Subject:               pkix.Name{CommonName: "berth-" + name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
		NotAfter:              now.Add(authorityLife),
	}
	return sign(folder, name, template, nil, now)
}

func issue(folder string, subject Subject, authority pair, now time.Time) error {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: subject.CommonName, Organization: subject.Organization},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    subject.Names,
		NotAfter:    now.Add(life),
	}
	for _, address := range subject.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	_, err := sign(folder, subject.File, template, &authority, now)
	return err
}

// sign writes the key before the certificate: what load finds is always a pair.
func sign(folder, name string, template x509.Certificate, authority *pair, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template.NotBefore = now.Add(-time.Hour)
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pair{}, err
	}
	parent, signer := &template, crypto.Signer(key)
	if authority != nil {
		parent, signer = authority.certificate, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	if err := os.Remove(filepath.Join(folder, name+".crt")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pair{}, err
	}
	if err := writeKey(filepath.Join(folder, name+".key"), key); err != nil {
		return pair{}, err
	}
	if err := writePEM(filepath.Join(folder, name+".crt"), "CERTIFICATE", der); err != nil {
		return pair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return pair{certificate, key}, err
}

// ensureSigningKey makes the key of service accounts' tokens, once: a new one would end every token.
func ensureSigningKey(folder string) error {
	private, public := filepath.Join(folder, "sa.key"), filepath.Join(folder, "sa.pub")
	if _, err := os.Stat(public); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(private, key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(public, "PUBLIC KEY", der)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

// writePEM appears whole or not at all.
func writePEM(path, kind string, der []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func load(folder, name string) (pair, error) {
	certificate, err := readPEM(filepath.Join(folder, name+".crt"))
	if err != nil {
		return pair{}, err
	}
	key, err := readPEM(filepath.Join(folder, name+".key"))
	if err != nil {
		return pair{}, err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return pair{}, err
	}
	private, err := x509.ParseECPrivateKey(key)
	return pair{parsed, private}, err
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	return block.Bytes, nil
}
