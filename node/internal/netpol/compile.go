package netpol

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Snapshot is all that the rules depend on.
type Snapshot struct {
	Namespaces []*corev1.Namespace
	Endpoints  []Endpoint
	Policies   []*netv1.NetworkPolicy
	PodRange   netip.Prefix
	Node       []netip.Addr
}

// Compile resolves the policies to addresses. Pure; what it cannot read in a policy allows nothing.
func Compile(s Snapshot) *Model {
	c := compiler{
		snapshot:   s,
		namespaces: map[string]labels.Set{},
		model: &Model{
			PodRange: s.PodRange, Node: map[netip.Addr]bool{}, Pods: map[netip.Addr]PodRules{},
			PodSets: map[string][]netip.Addr{}, BlockSets: map[string][]Range{}, PortSets: map[string][]Target{},
		},
	}
	for _, a := range s.Node {
		c.model.Node[a] = true
	}
	for _, ns := range s.Namespaces {
		c.namespaces[ns.Name] = ns.Labels
	}
	policies := map[string][]policy{}
	// In a fixed order, so that the same policies always give the same rules.
	for _, p := range slices.SortedFunc(slices.Values(s.Policies), func(a, b *netv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	}) {
		policies[p.Namespace] = append(policies[p.Namespace], readPolicy(p))
	}
	for _, e := range s.Endpoints {
		c.model.Pods[e.Addr] = c.podRules(e.Pod, policies[e.Pod.Namespace])
	}
	return c.model
}

type compiler struct {
	snapshot   Snapshot
	namespaces map[string]labels.Set
	model      *Model
}

// policy is a NetworkPolicy with its defaults filled in and its selector parsed.
type policy struct {
	*netv1.NetworkPolicy
	selector        labels.Selector
	ingress, egress bool
}

func readPolicy(p *netv1.NetworkPolicy) policy {
	types := p.Spec.PolicyTypes
	if len(types) == 0 {
		types = []netv1.PolicyType{netv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			types = append(types, netv1.PolicyTypeEgress)
		}
	}
	return policy{
		p, selectorOf(&p.Spec.PodSelector),
		slices.Contains(types, netv1.PolicyTypeIngress), slices.Contains(types, netv1.PolicyTypeEgress),
	}
}

// selectorOf reads a selector; one that cannot be read (the API server admits none) selects nothing.
func selectorOf(s *metav1.LabelSelector) labels.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		slog.Error("a policy's selector is not valid and selects nothing", "error", err)
		return labels.Nothing()
	}
	return parsed
}

func (c *compiler) podRules(pod *corev1.Pod, policies []policy) PodRules {
	rules := PodRules{Name: pod.Namespace + "/" + pod.Name}
	for _, p := range policies {
		if !p.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if p.ingress {
			rules.Ingress.Isolated = true
			for _, r := range p.Spec.Ingress {
				c.allow(&rules.Ingress, p.Namespace, r.From, r.Ports, pod)
			}
		}
		if p.egress {
			rules.Egress.Isolated = true
			for _, r := range p.Spec.Egress {
				c.allow(&rules.Egress, p.Namespace, r.To, r.Ports, nil)
			}
		}
	}
	return rules
}

// allow adds one rule. The pod whose named ports count is the receiving one: `receiver` for ingress, each peer (nil) for egress.
func (c *compiler) allow(side *Side, namespace string, peers []netv1.NetworkPolicyPeer, ports []netv1.NetworkPolicyPort, receiver *corev1.Pod) {
	ranges, names := readPorts(ports, receiver)
	matches := []match{{peer: Peer{Kind: Anyone}, any: true}}
	if len(peers) > 0 {
		matches = matches[:0]
		for _, p := range peers {
			if m, ok := c.match(namespace, p); ok {
				matches = append(matches, m)
			}
		}
	}
	for _, m := range matches {
		if len(ports) == 0 || len(ranges) > 0 {
			side.add(Allow{m.peer, ranges})
			c.fill(m)
		}
		for _, n := range names {
			if set, ok := c.portSet(m, n); ok {
				side.add(Allow{Peer: Peer{InPortSet, set}})
			}
		}
	}
}

func (s *Side) add(a Allow) {
	if !slices.ContainsFunc(s.Allow, func(b Allow) bool {
		return a.Peer == b.Peer && slices.Equal(a.Ports, b.Ports) && (a.Ports == nil) == (b.Ports == nil)
	}) {
		s.Allow = append(s.Allow, a)
	}
}

// match is a peer together with what fills its set.
type match struct {
	peer      Peer
	any       bool
	namespace string          // the only namespace that counts, or empty
	spaces    labels.Selector // which namespaces count, or nil
	pods      labels.Selector // which pods of them count, or nil for all
	block     []Range
}

// match reads a peer. Not ok: it can match nothing on this cluster (an IPv6 block, a malformed peer).
func (c *compiler) match(namespace string, p netv1.NetworkPolicyPeer) (match, bool) {
	if p.IPBlock != nil {
		block, err := netip.ParsePrefix(p.IPBlock.CIDR)
		if err != nil || !block.Addr().Is4() {
			return match{}, false
		}
		// Pods are known by selectors only, as with Cilium: an address of the pod range says nothing about who holds it.
		holes := []netip.Prefix{c.snapshot.PodRange}
		for _, e := range p.IPBlock.Except {
			if hole, err := netip.ParsePrefix(e); err == nil && hole.Addr().Is4() {
				holes = append(holes, hole)
			}
		}
		left := subtract(block, holes)
		return match{peer: Peer{InBlockSet, setName("block", fmt.Sprint(left))}, block: left}, len(left) > 0
	}
	if p.PodSelector == nil && p.NamespaceSelector == nil {
		return match{}, false
	}
	m := match{}
	meaning := []string{"", "", ""}
	if p.NamespaceSelector != nil {
		m.spaces = selectorOf(p.NamespaceSelector)
		meaning[1] = "in " + m.spaces.String()
	} else {
		m.namespace = namespace
		meaning[0] = namespace
	}
	if p.PodSelector != nil {
		m.pods = selectorOf(p.PodSelector)
		meaning[2] = "of " + m.pods.String()
	}
	m.peer = Peer{InPodSet, setName("pods", meaning...)}
	return m, true
}

func (m match) selects(pod *corev1.Pod, namespaces map[string]labels.Set) bool {
	if m.any {
		return true
	}
	if m.block != nil {
		return false
	}
	if m.spaces != nil {
		ns, known := namespaces[pod.Namespace]
		if !known || !m.spaces.Matches(ns) {
			return false
		}
	} else if pod.Namespace != m.namespace {
		return false
	}
	return m.pods == nil || m.pods.Matches(labels.Set(pod.Labels))
}

// fill puts the peer's set into the model unless an equal peer did already.
func (c *compiler) fill(m match) {
	switch m.peer.Kind {
	case Anyone, InPortSet:
	case InBlockSet:
		c.model.BlockSets[m.peer.Set] = m.block
	case InPodSet:
		if _, filled := c.model.PodSets[m.peer.Set]; filled {
			return
		}
		members := []netip.Addr{}
		for _, e := range c.snapshot.Endpoints {
			if m.selects(e.Pod, c.namespaces) {
				members = append(members, e.Addr)
			}
		}
		c.model.PodSets[m.peer.Set] = members
	}
}

// portSet fills the set of those peers' ports that bear the name. Addresses of a block bear none.
func (c *compiler) portSet(m match, named namedPort) (string, bool) {
	if m.block != nil {
		return "", false
	}
	name := setName("ports", m.peer.Set, named.protocol.String(), named.name)
	if _, filled := c.model.PortSets[name]; filled {
		return name, true
	}
	targets := []Target{}
	for _, e := range c.snapshot.Endpoints {
		if !m.selects(e.Pod, c.namespaces) {
			continue
		}
		for _, port := range named.of(e.Pod) {
			if t := (Target{e.Addr, named.protocol, port}); !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	c.model.PortSets[name] = targets
	return name, true
}

type namedPort struct {
	protocol Protocol
	name     string
}

// of gives the pod's ports of that name and protocol, those of native sidecars included.
func (n namedPort) of(pod *corev1.Pod) []uint16 {
	var found []uint16
	look := func(c corev1.Container) {
		for _, p := range c.Ports {
			if p.Name == n.name && protocolOf(&p.Protocol) == n.protocol {
				found = append(found, uint16(p.ContainerPort))
			}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			look(c)
		}
	}
	for _, c := range pod.Spec.Containers {
		look(c)
	}
	return found
}

// readPorts gives the numeric ranges, those of the receiver's named ports included, and, where the receiver is not yet known, the names.
// Ranges nil with ports given means that none of them can match.
func readPorts(ports []netv1.NetworkPolicyPort, receiver *corev1.Pod) ([]PortRange, []namedPort) {
	var ranges []PortRange
	var names []namedPort
	for _, p := range ports {
		proto := protocolOf(p.Protocol)
		switch {
		case p.Port == nil:
			ranges = append(ranges, PortRange{proto, 0, 65535})
		case p.Port.Type == intstr.Int:
			lo := uint16(p.Port.IntVal)
			hi := lo
			if p.EndPort != nil {
				hi = uint16(*p.EndPort)
			}
			ranges = append(ranges, PortRange{proto, lo, hi})
		case receiver == nil:
			names = append(names, namedPort{proto, p.Port.StrVal})
		default:
			for _, port := range (namedPort{proto, p.Port.StrVal}).of(receiver) {
				ranges = append(ranges, PortRange{proto, port, port})
			}
		}
	}
	return mergePorts(ranges), names
}

func protocolOf(p *corev1.Protocol) Protocol {
	if p == nil {
		return TCP
	}
	switch *p {
	case corev1.ProtocolUDP:
		return UDP
	case corev1.ProtocolSCTP:
		return SCTP
	default:
		return TCP
	}
}

// setName is short enough for the kernel and the same for the same meaning.
func setName(kind string, meaning ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(meaning, "\x00")))
	return kind + "_" + hex.EncodeToString(sum[:10])
}
