package netpol

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// privateRanges is what a tenant's "public internet" leaves out. 198.51.100.0/24, which plays the internet here, is not in it.
var privateRanges = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
}

// tenantPolicy is what a container's namespace gets: DNS and the internet outwards, one port from the internet inwards.
func tenantPolicy(dnsService string) netv1.NetworkPolicySpec {
	return netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{"Ingress", "Egress"},
		Ingress: []netv1.NetworkPolicyIngressRule{{
			From: []netv1.NetworkPolicyPeer{block("0.0.0.0/0", privateRanges...)}, Ports: tcp(8080),
		}},
		Egress: []netv1.NetworkPolicyEgressRule{
			{To: []netv1.NetworkPolicyPeer{block(dnsService + "/32"), dnsPods()}, Ports: []netv1.NetworkPolicyPort{{Protocol: protocol("UDP"), Port: number(53)}}},
			{To: []netv1.NetworkPolicyPeer{block("0.0.0.0/0", privateRanges...)}},
		},
	}
}

func dnsPods() netv1.NetworkPolicyPeer {
	return netv1.NetworkPolicyPeer{
		NamespaceSelector: selects("kubernetes.io/metadata.name", "kube-system"), PodSelector: selects("k8s-app", "kube-dns"),
	}
}

func denyAll(types ...netv1.PolicyType) netv1.NetworkPolicySpec {
	return netv1.NetworkPolicySpec{PolicyTypes: types}
}

// admit is a policy that lets the peers in on the ports.
func admit(ports []netv1.NetworkPolicyPort, from ...netv1.NetworkPolicyPeer) netv1.NetworkPolicySpec {
	return netv1.NetworkPolicySpec{Ingress: []netv1.NetworkPolicyIngressRule{{From: from, Ports: ports}}}
}

// release is a policy that lets the selected pods out to the peers on the ports.
func release(ports []netv1.NetworkPolicyPort, to ...netv1.NetworkPolicyPeer) netv1.NetworkPolicySpec {
	return netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{"Egress"}, Egress: []netv1.NetworkPolicyEgressRule{{To: to, Ports: ports}},
	}
}

func selects(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func fromSpaces(key, value string) netv1.NetworkPolicyPeer {
	return netv1.NetworkPolicyPeer{NamespaceSelector: selects(key, value)}
}

func fromPods(key, value string) netv1.NetworkPolicyPeer {
	return netv1.NetworkPolicyPeer{PodSelector: selects(key, value)}
}

func block(cidr string, except ...string) netv1.NetworkPolicyPeer {
	return netv1.NetworkPolicyPeer{IPBlock: &netv1.IPBlock{CIDR: cidr, Except: slices.Clone(except)}}
}

func number(n int32) *intstr.IntOrString {
	v := intstr.FromInt32(n)
	return &v
}

func protocol(p corev1.Protocol) *corev1.Protocol { return &p }

func tcp(port int32) []netv1.NetworkPolicyPort {
	return []netv1.NetworkPolicyPort{{Port: number(port)}}
}

func named(port string) []netv1.NetworkPolicyPort {
	v := intstr.FromString(port)
	return []netv1.NetworkPolicyPort{{Port: &v}}
}

func portRange(lo, hi int32) []netv1.NetworkPolicyPort {
	return []netv1.NetworkPolicyPort{{Port: number(lo), EndPort: &hi}}
}
