package netpol

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Endpoint is a pod at the address its packets carry.
type Endpoint struct {
	Pod  *corev1.Pod
	Addr netip.Addr
}

// mirrorAnnotation holds, on the API's image of a static pod, the UID under which the kubelet runs it.
const mirrorAnnotation = "kubernetes.io/config.mirror"

// endpoints pairs the pods that the API server confirms with their addresses.
//
// A sandbox told by CNI decides over the address in a pod's status, which lags: an address belongs to the sandbox that was added last,
// and a pod whose sandbox was torn down has none. Pods on the node's own network are the node; finished pods are nobody.
func endpoints(pods []*corev1.Pod, sandboxes []Sandbox, podRange netip.Prefix) []Endpoint {
	byUID := map[string]Sandbox{}
	taken := map[netip.Addr]bool{}
	for _, s := range sandboxes {
		if old, seen := byUID[s.UID]; !seen || (old.Gone && !s.Gone) {
			byUID[s.UID] = s
		}
		if !s.Gone {
			taken[s.Addr] = true
		}
	}
	found := make([]Endpoint, 0, len(pods))
	for _, pod := range pods {
		if pod.Spec.HostNetwork || finished(pod) {
			continue
		}
		if s, told := sandboxOf(pod, byUID); told {
			if !s.Gone {
				found = append(found, Endpoint{pod, s.Addr})
			}
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			addr, err := netip.ParseAddr(ip.IP)
			if err != nil || !podRange.Contains(addr) || taken[addr] {
				continue
			}
			taken[addr] = true
			found = append(found, Endpoint{pod, addr})
		}
	}
	slices.SortFunc(found, func(a, b Endpoint) int { return a.Addr.Compare(b.Addr) })
	return found
}

func sandboxOf(pod *corev1.Pod, byUID map[string]Sandbox) (Sandbox, bool) {
	for _, uid := range []string{string(pod.UID), pod.Annotations[mirrorAnnotation]} {
		if s, told := byUID[uid]; told && s.Namespace == pod.Namespace && s.Name == pod.Name {
			return s, true
		}
	}
	return Sandbox{}, false
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
