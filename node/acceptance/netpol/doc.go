// Package netpol is the acceptance test of network policy enforcement on a running node: real pods, real packets, from inside.
//
// It needs root on the node's machine, KUBECONFIG of the node, and, to bring its image in, CTR (the ctr program, default "ctr") with
// CONTAINERD_ADDRESS (the node's containerd socket). It makes, and removes, namespaces named netpol-* and a network namespace that plays
// the outside world at 198.51.100.2.
package netpol
