// Package addons puts into the cluster what a bare control plane lacks: DNS, the metrics API and the default storage class.
//
// Invariants:
//   - Apply may be repeated at any time; what has not changed is left alone, and a change of ours replaces anyone's edit.
//   - Apply returns nil only when all of it serves.
//   - No connection goes unverified and no add-on runs as root or with a capability.
package addons

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// fieldManager owns our fields in the API server's books.
const fieldManager = "berth-node"

// Options of the add-ons.
type Options struct {
	Kubeconfig string
	// DNSAddress is the cluster IP of the DNS Service, the one kubelets give to pods.
	DNSAddress netip.Addr
	// ClusterDomain is cluster.local when empty.
	ClusterDomain string
	// Upstreams answer every other name; each is an address, address:port or a resolv.conf file. Nil means the node's /etc/resolv.conf;
	// an empty slice means that there is no other DNS, as on a machine without a name server.
	Upstreams []string
	// Timeout for everything together; two minutes when zero.
	Timeout time.Duration
	// Alive says whether the node's runtime has the container of this id. Until the kubelet reports, the API server tells of the pods that ran
	// before the node's last start. Nil means that the API server's word is good.
	Alive func(container string) bool
	// Now dates certificates; time.Now when nil.
	Now func() time.Time
}

// Apply writes the add-ons and waits until they serve. Their images must be on the node (Images).
func Apply(ctx context.Context, o Options) error {
	if !o.DNSAddress.IsValid() {
		return errors.New("the DNS Service's address is missing")
	}
	if o.ClusterDomain == "" {
		o.ClusterDomain = "cluster.local"
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	certificate, err := servingCertificate(ctx, client, o.Now())
	if err != nil {
		return err
	}
	objects, err := render(o, certificate)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := apply(ctx, client, object); err != nil {
			return err
		}
	}
	return awaitAll(ctx, client, objects, o.Alive)
}

// corefile is CoreDNS's configuration.
func corefile(o Options) string {
	upstreams := o.Upstreams
	if upstreams == nil {
		upstreams = []string{"/etc/resolv.conf"}
	}
	forward := ""
	if len(upstreams) > 0 {
		forward = "    forward . " + strings.Join(upstreams, " ") + "\n"
	}
	// Answers about the cluster are in memory anyway; caching them would only make them late.
	return fmt.Sprintf(`.:53 {
    errors
    health :8080
    ready :8181
    cache 30 {
        disable success %[1]s
        disable denial %[1]s
    }
    kubernetes %[1]s in-addr.arpa ip6.arpa {
        pods disabled
        fallthrough in-addr.arpa ip6.arpa
    }
%[2]s}
`, o.ClusterDomain, forward)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
