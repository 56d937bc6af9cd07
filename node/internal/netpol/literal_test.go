package netpol

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// literal decides about a packet by reading the API's text word for word, object by object. It shares nothing with the compiler: no
// sets, no ranges, not even the library's label selectors.
func literal(s Snapshot, p Packet) bool {
	if slices.Contains(s.Node, p.Src) {
		return true // "traffic to and from the node where a Pod is running is always allowed": from it, as probes
	}
	src, dst := podAt(s, p.Src), podAt(s, p.Dst)
	if s.PodRange.Contains(p.Src) && src == nil {
		return false
	}
	if s.PodRange.Contains(p.Dst) && dst == nil && !slices.Contains(s.Node, p.Dst) {
		return false
	}
	if p.Src == p.Dst {
		return true // "a Pod cannot block access to itself"
	}
	if src != nil && !literalSide(s, src, netv1.PolicyTypeEgress, p, p.Dst, dst, dst) {
		return false
	}
	return dst == nil || literalSide(s, dst, netv1.PolicyTypeIngress, p, p.Src, src, dst)
}

func podAt(s Snapshot, addr netip.Addr) *corev1.Pod {
	for _, e := range s.Endpoints {
		if e.Addr == addr {
			return e.Pod
		}
	}
	return nil
}

// literalSide: "if no policy selects the pod, it is not isolated; otherwise whatever at least one of them allows is allowed".
func literalSide(s Snapshot, pod *corev1.Pod, side netv1.PolicyType, p Packet, farAddr netip.Addr, far, receiver *corev1.Pod) bool {
	isolated := false
	for _, policy := range s.Policies {
		if policy.Namespace != pod.Namespace || !literalSelects(policy.Spec.PodSelector, pod.Labels) || !literalType(policy.Spec, side) {
			continue
		}
		isolated = true
		if side == netv1.PolicyTypeIngress {
			for _, r := range policy.Spec.Ingress {
				if literalPeers(s, policy.Namespace, r.From, farAddr, far) && literalPorts(r.Ports, p, receiver) {
					return true
				}
			}
		} else {
			for _, r := range policy.Spec.Egress {
				if literalPeers(s, policy.Namespace, r.To, farAddr, far) && literalPorts(r.Ports, p, receiver) {
					return true
				}
			}
		}
	}
	return !isolated
}

// literalType: "if no policyTypes are specified, Ingress will always be set and Egress will be set if the policy has any egress rules".
func literalType(spec netv1.NetworkPolicySpec, side netv1.PolicyType) bool {
	if len(spec.PolicyTypes) > 0 {
		return slices.Contains(spec.PolicyTypes, side)
	}
	return side == netv1.PolicyTypeIngress || len(spec.Egress) > 0
}

// literalPeers: "if this field is empty or missing, this rule matches all sources".
func literalPeers(s Snapshot, namespace string, peers []netv1.NetworkPolicyPeer, addr netip.Addr, pod *corev1.Pod) bool {
	if len(peers) == 0 {
		return true
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			// Cluster-external addresses only: neither pods nor the node.
			if !s.PodRange.Contains(addr) && !slices.Contains(s.Node, addr) && inCIDR(peer.IPBlock.CIDR, addr) &&
				!slices.ContainsFunc(peer.IPBlock.Except, func(e string) bool { return inCIDR(e, addr) }) {
				return true
			}
			continue
		}
		if pod == nil || (peer.NamespaceSelector == nil && peer.PodSelector == nil) {
			continue
		}
		spaceOK := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			spaceOK = false
			for _, ns := range s.Namespaces {
				if ns.Name == pod.Namespace {
					spaceOK = literalSelects(*peer.NamespaceSelector, ns.Labels)
				}
			}
		}
		if spaceOK && (peer.PodSelector == nil || literalSelects(*peer.PodSelector, pod.Labels)) {
			return true
		}
	}
	return false
}

func inCIDR(cidr string, addr netip.Addr) bool {
	return netip.MustParsePrefix(cidr).Contains(addr)
}

// literalPorts: "if this field is empty or missing, this rule matches all ports (traffic not restricted by port)".
func literalPorts(ports []netv1.NetworkPolicyPort, p Packet, receiver *corev1.Pod) bool {
	if len(ports) == 0 {
		return true
	}
	for _, port := range ports {
		proto := corev1.ProtocolTCP
		if port.Protocol != nil {
			proto = *port.Protocol
		}
		if number := map[corev1.Protocol]Protocol{"TCP": 6, "UDP": 17, "SCTP": 132}[proto]; number != p.Protocol {
			continue
		}
		switch {
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			if receiver == nil {
				continue
			}
			for _, c := range append(slices.Clone(receiver.Spec.Containers), sidecars(receiver)...) {
				for _, cp := range c.Ports {
					if cp.Name == port.Port.StrVal && cp.Protocol == proto && cp.ContainerPort == int32(p.DstPort) {
						return true
					}
				}
			}
		case port.EndPort != nil:
			if int32(p.DstPort) >= port.Port.IntVal && int32(p.DstPort) <= *port.EndPort {
				return true
			}
		case int32(p.DstPort) == port.Port.IntVal:
			return true
		}
	}
	return false
}

func sidecars(pod *corev1.Pod) []corev1.Container {
	var found []corev1.Container
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == "Always" {
			found = append(found, c)
		}
	}
	return found
}

// literalSelects: "the result of matchLabels and matchExpressions are ANDed; an empty label selector matches all objects".
func literalSelects(s metav1.LabelSelector, on map[string]string) bool {
	for k, v := range s.MatchLabels {
		if have, ok := on[k]; !ok || have != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		have, ok := on[e.Key]
		in := ok && slices.Contains(e.Values, have)
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if !in {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if in {
				return false
			}
		case metav1.LabelSelectorOpExists:
			if !ok {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				return false
			}
		}
	}
	return true
}
