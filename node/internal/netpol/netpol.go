// Package netpol enforces networking.k8s.io/v1 NetworkPolicy on a one-node cluster whose pods are routed (CNI ptp), with nftables, in the
// network namespace it is started in. Cilium's behaviour is the yardstick where the API leaves room: an ipBlock covers neither pods nor
// the node, pods on the node's own network are the node, and the node reaches every pod.
//
// Invariants:
//   - A pod address that is not known to belong to a pod the API server confirms sends and receives nothing.
//   - CNI ADD succeeds only after the policies that existed when it was called are in the kernel. Controller down: ADD fails.
//   - The kernel's rules change in one transaction and stay when the controller ends; a restart replaces them at once.
//   - A flow that the rules no longer allow has no conntrack entry: nothing passes on the strength of an older policy.
//
// The middle is pure: endpoints → Compile → Render → change. The edges are the watches, the socket (package hook), nft and conntrack.
package netpol

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Options of the controller.
type Options struct {
	Kubeconfig string
	// Socket is where the CNI plugin asks; Registry is the file that remembers sandboxes. Their folders are made when missing.
	Socket, Registry string
	PodRange         netip.Prefix
	// HostAddresses are the addresses of the machine at the far end of the node's link, which count as the node's own. HostAddressFile,
	// one address a line, adds to them and is read again whenever it changes; empty or absent adds nothing.
	HostAddresses   []netip.Addr
	HostAddressFile string
}

// Run enforces until the context ends, which is not an error.
func Run(ctx context.Context, o Options) error {
	if !o.PodRange.Addr().Is4() {
		return fmt.Errorf("the pod range %q is not an IPv4 prefix", o.PodRange)
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 200
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	for _, path := range []string{o.Socket, o.Registry} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
	}
	wall, err := openFirewall(o.PodRange)
	if err != nil {
		return err
	}
	reg, err := loadRegistry(o.Registry)
	if err != nil {
		return err
	}
	log := slog.With("component", "netpol")
	c := &controller{
		options: o, client: client, wall: wall, registry: reg, sweeper: newSweeper(log),
		log: log, wake: make(chan struct{}, 1), requests: make(chan pending),
	}
	if err := c.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Cleanup deletes the rules from the network namespace it is called in.
func Cleanup(ctx context.Context) error {
	wall, err := openFirewall(netip.Prefix{})
	if err != nil {
		return err
	}
	return wall.remove(ctx)
}

// nodeAddresses gives what counts as the node: its interfaces' addresses and the machine's.
func (o Options) nodeAddresses() ([]netip.Addr, error) {
	found := append([]netip.Addr{}, o.HostAddresses...)
	listed, err := readAddresses(o.HostAddressFile)
	if err != nil {
		return nil, err
	}
	found = append(found, listed...)
	local, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the node's addresses: %w", err)
	}
	for _, a := range local {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			found = append(found, prefix.Addr())
		}
	}
	return found, nil
}

func readAddresses(path string) ([]netip.Addr, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the machine's addresses: %w", err)
	}
	var found []netip.Addr
	for _, word := range strings.Fields(string(data)) {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return nil, fmt.Errorf("reading the machine's addresses from %s: %w", path, err)
		}
		if addr.Is4() {
			found = append(found, addr)
		}
	}
	return found, nil
}
