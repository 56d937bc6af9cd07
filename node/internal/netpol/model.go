package netpol

import (
	"net/netip"
	"slices"
)

// Protocol is an IP protocol number. Policies know three; a packet may carry any.
type Protocol uint8

// The protocols a policy can name.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String is the protocol in nftables' words.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	default:
		return "other"
	}
}

// Model is every pod's rules, resolved to addresses: what the kernel is told, and what decides which tracked flows may live on.
type Model struct {
	// PodRange holds every pod of the cluster. An address in it that is in neither Pods nor Node is nobody: its packets are dropped.
	PodRange netip.Prefix
	// Node holds the addresses of this node and of the machine it runs on. They may reach every pod; no ipBlock covers them.
	Node map[netip.Addr]bool
	Pods map[netip.Addr]PodRules

	// The sets that the rules of Pods refer to, by name. A name is a hash of what the set means, so equal peers share one.
	PodSets   map[string][]netip.Addr
	BlockSets map[string][]Range
	PortSets  map[string][]Target
}

// PodRules is what one pod may receive and send.
type PodRules struct {
	Name            string
	Ingress, Egress Side
}

// Side is one direction of a pod's rules. Not isolated means that everything is allowed.
type Side struct {
	Isolated bool
	Allow    []Allow
}

// Allow lets packets of a peer through. Ports nil means every protocol and port.
type Allow struct {
	Peer  Peer
	Ports []PortRange
}

// Peer is the far end of an Allow.
type Peer struct {
	Kind PeerKind
	Set  string
}

// PeerKind says where a Peer's Set is found.
type PeerKind int

// The kinds of peer.
const (
	// Anyone is every address, the node's included.
	Anyone PeerKind = iota
	// InPodSet is a pod that selectors chose.
	InPodSet
	// InBlockSet is an address of an ipBlock; never a pod, never the node.
	InBlockSet
	// InPortSet is a pod at its own port of the name that the rule asked for; Ports is nil.
	InPortSet
)

// Target is a pod's named port, resolved.
type Target struct {
	Addr     netip.Addr
	Protocol Protocol
	Port     uint16
}

// Packet is the first packet of a flow, after address translation of its destination. DstPort is 0 where the protocol has none.
type Packet struct {
	Src, Dst netip.Addr
	Protocol Protocol
	DstPort  uint16
}

// Allows decides about a packet as the rendered rules do.
func (m *Model) Allows(p Packet) bool {
	if m.Node[p.Src] {
		return true
	}
	if m.PodRange.Contains(p.Src) {
		rules, known := m.Pods[p.Src]
		if !known || !m.sideAllows(rules.Egress, p, p.Dst, m.Node[p.Dst]) {
			return false
		}
	}
	if m.PodRange.Contains(p.Dst) && !m.Node[p.Dst] {
		rules, known := m.Pods[p.Dst]
		return known && m.sideAllows(rules.Ingress, p, p.Src, false)
	}
	return true
}

func (m *Model) sideAllows(side Side, p Packet, far netip.Addr, farIsNode bool) bool {
	if !side.Isolated || p.Src == p.Dst {
		return true
	}
	return slices.ContainsFunc(side.Allow, func(a Allow) bool {
		return m.peerMatches(a.Peer, p, far, farIsNode) && portsMatch(a.Ports, p)
	})
}

func (m *Model) peerMatches(peer Peer, p Packet, far netip.Addr, farIsNode bool) bool {
	switch peer.Kind {
	case Anyone:
		return true
	case InPodSet:
		return !farIsNode && slices.Contains(m.PodSets[peer.Set], far)
	case InBlockSet:
		return !farIsNode && slices.ContainsFunc(m.BlockSets[peer.Set], func(r Range) bool { return r.contains(far) })
	case InPortSet:
		return !farIsNode && slices.Contains(m.PortSets[peer.Set], Target{far, p.Protocol, p.DstPort})
	}
	return false
}

func portsMatch(ports []PortRange, p Packet) bool {
	return ports == nil || slices.ContainsFunc(ports, func(r PortRange) bool {
		return r.Protocol == p.Protocol && r.Lo <= p.DstPort && p.DstPort <= r.Hi
	})
}
