package netpol

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkPodAdded is one more pod on a node of tenants, each in a namespace of its own under its own policy: compile, render, and the
// kernel's change. The last should not depend on the number of pods.
func BenchmarkPodAdded(b *testing.B) {
	for _, pods := range []int{10, 100, 1000} {
		s := tenants(pods)
		fewer := s
		fewer.Endpoints = s.Endpoints[:pods-1]
		b.Run(fmt.Sprintf("compile/pods=%d", pods), func(b *testing.B) {
			for b.Loop() {
				Render(Compile(s))
			}
		})
		b.Run(fmt.Sprintf("kernel/pods=%d", pods), func(b *testing.B) {
			l := newLab(b)
			models := []*Model{Compile(fewer), Compile(s)}
			for i := 0; b.Loop(); i++ {
				if _, err := l.wall.apply(context.Background(), models[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func tenants(n int) Snapshot {
	s := Snapshot{PodRange: testPodRange, Node: testNode}
	dns := netv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "dns"}}, NamespaceSelector: &metav1.LabelSelector{}}
	internet := netv1.NetworkPolicyPeer{IPBlock: &netv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"}}}
	for i := range n {
		name := fmt.Sprint("tenant", i)
		s.Namespaces = append(s.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		addr := binary.BigEndian.AppendUint32(nil, 10<<24|42<<16|uint32(256+i))
		s.Endpoints = append(s.Endpoints, Endpoint{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "main-0", Namespace: name}}, netip.AddrFrom4([4]byte(addr))})
		s.Policies = append(s.Policies, &netv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "tenant", Namespace: name},
			Spec: netv1.NetworkPolicySpec{
				PolicyTypes: []netv1.PolicyType{"Ingress", "Egress"},
				Ingress:     []netv1.NetworkPolicyIngressRule{{From: []netv1.NetworkPolicyPeer{internet}}},
				Egress:      []netv1.NetworkPolicyEgressRule{{To: []netv1.NetworkPolicyPeer{dns, internet}}},
			},
		})
	}
	return s
}
