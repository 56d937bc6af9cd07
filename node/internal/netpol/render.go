package netpol

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// Ruleset is the part of our table that follows the model: named things only, so that two of them can be compared and only the
// difference sent to the kernel.
type Ruleset struct {
	Sets   map[string]Set
	Maps   map[string]map[string]string // map → pod address → verdict
	Chains map[string]Chain
}

// Set is a set's type and elements; an element's parts are joined by " . ".
type Set struct {
	Type     string
	Interval bool
	Elements []string
}

// Chain is a pod's chain.
type Chain struct {
	Comment string
	Rules   []string
}

// The names in our table. Chains of pods are egress_<address>, node_<address> and ingress_<address>.
const (
	nodeSet    = "node"    // Model.Node
	egressMap  = "egress"  // what a pod may send to pods and to the outside
	nodeMap    = "to_node" // what a pod may send to the node and its machine
	ingressMap = "ingress" // what a pod may receive

	fromPod     = "from_pod"
	fromPodNode = "from_pod_to_node"
	afterEgress = "after_egress"
	toPod       = "to_pod"
)

// Render words the model for nftables. Pure.
func Render(m *Model) Ruleset {
	r := Ruleset{
		Sets:   map[string]Set{nodeSet: {Type: "ipv4_addr", Elements: texts(slices.SortedFunc(maps.Keys(m.Node), netip.Addr.Compare))}},
		Maps:   map[string]map[string]string{egressMap: {}, nodeMap: {}, ingressMap: {}},
		Chains: map[string]Chain{},
	}
	for name, addrs := range m.PodSets {
		r.Sets[name] = Set{Type: "ipv4_addr", Elements: texts(addrs)}
	}
	for name, ranges := range m.BlockSets {
		r.Sets[name] = Set{Type: "ipv4_addr", Interval: true, Elements: texts(ranges)}
	}
	for name, targets := range m.PortSets {
		elements := make([]string, 0, len(targets))
		for _, t := range targets {
			elements = append(elements, fmt.Sprintf("%s . %s . %d", t.Addr, t.Protocol, t.Port))
		}
		r.Sets[name] = Set{Type: "ipv4_addr . inet_proto . inet_service", Elements: elements}
	}
	for addr, rules := range m.Pods {
		r.pod(addr, rules)
	}
	return r
}

func (r Ruleset) pod(addr netip.Addr, rules PodRules) {
	key := addr.String()
	r.Maps[egressMap][key] = "goto " + afterEgress
	r.Maps[nodeMap][key] = "accept"
	r.Maps[ingressMap][key] = "accept"
	if rules.Egress.Isolated {
		self := "ip daddr " + key + " goto " + afterEgress
		r.Maps[egressMap][key] = r.chain("egress_"+key, rules, self, rules.Egress.Allow, "ip daddr", afterEgress)
		var toNode []Allow
		for _, a := range rules.Egress.Allow {
			if a.Peer.Kind == Anyone {
				toNode = append(toNode, a)
			}
		}
		r.Maps[nodeMap][key] = "drop"
		if len(toNode) > 0 {
			r.Maps[nodeMap][key] = r.chain("node_"+key, rules, "", toNode, "ip daddr", "")
		}
	}
	if rules.Ingress.Isolated {
		self := "ip saddr " + key + " accept"
		r.Maps[ingressMap][key] = r.chain("ingress_"+key, rules, self, rules.Ingress.Allow, "ip saddr", "")
	}
}

// chain words a side: one rule per peer and protocol, then the end. Allowed packets go to `next`, or are accepted where it is empty.
func (r Ruleset) chain(name string, pod PodRules, first string, allow []Allow, far, next string) (verdict string) {
	then := "accept"
	if next != "" {
		then = "goto " + next
	}
	var rules []string
	if first != "" {
		rules = append(rules, first)
	}
	for _, a := range allow {
		peer := ""
		switch a.Peer.Kind {
		case Anyone:
		case InPodSet, InBlockSet:
			peer = far + " @" + a.Peer.Set + " "
		case InPortSet:
			peer = far + " . meta l4proto . th dport @" + a.Peer.Set + " "
		}
		for _, ports := range portMatches(a.Ports) {
			rules = append(rules, peer+ports+then)
		}
	}
	comment := pod.Name
	if len(comment) > knftables.CommentLengthMax {
		comment = comment[:knftables.CommentLengthMax]
	}
	r.Chains[name] = Chain{comment, append(rules, "counter drop")}
	return "goto " + name
}

// portMatches gives one expression a protocol, or one empty expression for everything.
func portMatches(ports []PortRange) []string {
	if ports == nil {
		return []string{""}
	}
	var found []string
	for i := 0; i < len(ports); {
		proto := ports[i].Protocol
		var words []string
		whole := false
		for ; i < len(ports) && ports[i].Protocol == proto; i++ {
			words = append(words, ports[i].String())
			whole = whole || (ports[i].Lo == 0 && ports[i].Hi == 65535)
		}
		if whole {
			found = append(found, "meta l4proto "+proto.String()+" ")
		} else {
			found = append(found, proto.String()+" dport { "+strings.Join(words, ", ")+" } ")
		}
	}
	return found
}

func texts[T fmt.Stringer](of []T) []string {
	words := make([]string, 0, len(of))
	for _, o := range of {
		words = append(words, o.String())
	}
	return words
}
