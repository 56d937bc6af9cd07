package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// The addresses random worlds are made of. Small pools, so that what is drawn twice often meets.
var (
	testPodRange = netip.MustParsePrefix("10.42.0.0/16")
	testNode     = addrs("10.41.0.2", "10.41.0.1", "10.42.0.1")
	testPods     = addrs("10.42.0.2", "10.42.0.3", "10.42.0.4", "10.42.0.5")
	testOutside  = addrs("198.51.100.2", "198.51.100.130")
	testPorts    = []uint16{53, 80, 8080, 8081}
	testCIDRs    = []string{"0.0.0.0/0", "198.51.100.0/24", "198.51.100.128/25", "198.51.100.2/32", "10.0.0.0/8", "10.42.0.0/16", "10.41.0.0/24", "::/0"}
)

func addrs(of ...string) []netip.Addr {
	var found []netip.Addr
	for _, a := range of {
		found = append(found, netip.MustParseAddr(a))
	}
	return found
}

// Random policies × packets: the compiled rules and the literal reading agree, and the rendered change from one world to the next is the
// same as starting anew.
func TestCompiledEqualsLiteral(t *testing.T) {
	everywhere := append(append(append(addrs("10.42.9.9", "8.8.8.8"), testNode...), testPods...), testOutside...)
	allowed, denied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		world := drawWorld(t)
		model := Compile(world)
		for _, src := range everywhere {
			for _, dst := range everywhere {
				for _, proto := range []Protocol{TCP, UDP, SCTP, 1} {
					for _, port := range testPorts {
						if proto == 1 {
							port = 0
						}
						p := Packet{src, dst, proto, port}
						got, want := model.Allows(p), literal(world, p)
						if got != want {
							t.Fatalf("%+v: compiled says %v, the text says %v", p, got, want)
						}
						if got {
							allowed++
						} else {
							denied++
						}
					}
				}
			}
		}
	})
	if allowed == 0 || denied == 0 {
		t.Fatalf("the worlds prove nothing: %d packets allowed, %d denied", allowed, denied)
	}
}

// Of every flow that a change closes, one end at least is looked at.
func TestAffectedCoversEveryClosedFlow(t *testing.T) {
	everywhere := append(append(append([]netip.Addr{}, testNode...), testPods...), testOutside...)
	closed := 0
	rapid.Check(t, func(t *rapid.T) {
		old, now := Compile(drawWorld(t)), Compile(drawWorld(t))
		addrs, all := affected(old, now)
		if all {
			t.Fatal("few pods changed, yet everything is to be swept")
		}
		for _, src := range everywhere {
			for _, dst := range everywhere {
				for _, proto := range []Protocol{TCP, UDP} {
					for _, port := range testPorts {
						p := Packet{src, dst, proto, port}
						if !old.Allows(p) || now.Allows(p) {
							continue
						}
						closed++
						if !slices.Contains(addrs, src) && !slices.Contains(addrs, dst) {
							t.Fatalf("%+v is closed, but only %v are swept", p, addrs)
						}
					}
				}
			}
		}
	})
	if closed == 0 {
		t.Fatal("the worlds prove nothing: no flow was ever closed")
	}
}

func drawWorld(t *rapid.T) Snapshot {
	s := Snapshot{PodRange: testPodRange, Node: testNode}
	for _, name := range []string{"red", "green", "blue"} {
		s.Namespaces = append(s.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: drawLabels(t)}})
	}
	namespace := rapid.SampledFrom([]string{"red", "green", "blue"})
	var pods []*corev1.Pod
	var sandboxes []Sandbox
	for i, addr := range testPods {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprint("pod", i), Namespace: namespace.Draw(t, "pod's namespace"), UID: types.UID(fmt.Sprint("uid", i)), Labels: drawLabels(t),
		}}
		pod.Spec.Containers = []corev1.Container{{Ports: drawPorts(t)}}
		if rapid.Bool().Draw(t, "sidecar") {
			always := corev1.ContainerRestartPolicyAlways
			pod.Spec.InitContainers = []corev1.Container{{Ports: drawPorts(t), RestartPolicy: &always}, {Ports: drawPorts(t)}}
		}
		pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{"Running", "Running", "Running", "Pending", "Failed"}).Draw(t, "phase")
		pod.Status.PodIPs = []corev1.PodIP{{IP: addr.String()}}
		if rapid.Bool().Draw(t, "told by CNI") {
			sandboxes = append(sandboxes, Sandbox{
				Container: pod.Name, Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Addr: addr,
				Gone: rapid.IntRange(0, 5).Draw(t, "gone") == 0,
			})
			pod.Status.PodIPs = nil
		}
		pods = append(pods, pod)
	}
	s.Endpoints = endpoints(pods, sandboxes, testPodRange)
	for i := range rapid.IntRange(0, 4).Draw(t, "policies") {
		p := &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("policy", i), Namespace: namespace.Draw(t, "policy's namespace")}}
		p.Spec.PodSelector = drawSelector(t)
		p.Spec.PolicyTypes = rapid.SampledFrom([][]netv1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}}).Draw(t, "types")
		for range rapid.IntRange(0, 2).Draw(t, "ingress rules") {
			p.Spec.Ingress = append(p.Spec.Ingress, netv1.NetworkPolicyIngressRule{From: drawPeers(t), Ports: drawPolicyPorts(t)})
		}
		for range rapid.IntRange(0, 2).Draw(t, "egress rules") {
			p.Spec.Egress = append(p.Spec.Egress, netv1.NetworkPolicyEgressRule{To: drawPeers(t), Ports: drawPolicyPorts(t)})
		}
		s.Policies = append(s.Policies, p)
	}
	return s
}

func drawLabels(t *rapid.T) map[string]string {
	return rapid.MapOf(rapid.SampledFrom([]string{"app", "team"}), rapid.SampledFrom([]string{"x", "y"})).Draw(t, "labels")
}

func drawSelector(t *rapid.T) metav1.LabelSelector {
	s := metav1.LabelSelector{}
	switch rapid.IntRange(0, 3).Draw(t, "selector") {
	case 0:
	case 1, 2:
		s.MatchLabels = drawLabels(t)
	case 3:
		op := rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")
		e := metav1.LabelSelectorRequirement{Key: rapid.SampledFrom([]string{"app", "team"}).Draw(t, "key"), Operator: op}
		if op == "In" || op == "NotIn" {
			e.Values = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 2, rapid.ID).Draw(t, "values")
		}
		s.MatchExpressions = []metav1.LabelSelectorRequirement{e}
	}
	return s
}

func drawPeers(t *rapid.T) []netv1.NetworkPolicyPeer {
	var peers []netv1.NetworkPolicyPeer
	for range rapid.IntRange(0, 2).Draw(t, "peers") {
		var peer netv1.NetworkPolicyPeer
		switch rapid.IntRange(0, 3).Draw(t, "peer") {
		case 0:
			s := drawSelector(t)
			peer.PodSelector = &s
		case 1:
			s := drawSelector(t)
			peer.NamespaceSelector = &s
		case 2:
			s, n := drawSelector(t), drawSelector(t)
			peer.PodSelector, peer.NamespaceSelector = &s, &n
		case 3:
			peer.IPBlock = &netv1.IPBlock{
				CIDR:   rapid.SampledFrom(testCIDRs).Draw(t, "cidr"),
				Except: rapid.SliceOfNDistinct(rapid.SampledFrom(testCIDRs[1:]), 0, 3, rapid.ID).Draw(t, "except"),
			}
		}
		peers = append(peers, peer)
	}
	return peers
}

func drawPolicyPorts(t *rapid.T) []netv1.NetworkPolicyPort {
	var ports []netv1.NetworkPolicyPort
	for range rapid.IntRange(0, 3).Draw(t, "ports") {
		var p netv1.NetworkPolicyPort
		if rapid.Bool().Draw(t, "protocol given") {
			proto := rapid.SampledFrom([]corev1.Protocol{"TCP", "UDP", "SCTP"}).Draw(t, "protocol")
			p.Protocol = &proto
		}
		number := intstr.FromInt32(int32(rapid.SampledFrom(testPorts).Draw(t, "port")))
		switch rapid.IntRange(0, 3).Draw(t, "kind of port") {
		case 0:
		case 1:
			p.Port = &number
		case 2:
			end := number.IntVal + rapid.SampledFrom([]int32{0, 1, 100, 57000}).Draw(t, "length")
			p.Port, p.EndPort = &number, &end
		case 3:
			name := intstr.FromString(rapid.SampledFrom([]string{"web", "dns"}).Draw(t, "port's name"))
			p.Port = &name
		}
		ports = append(ports, p)
	}
	return ports
}

func drawPorts(t *rapid.T) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for range rapid.IntRange(0, 2).Draw(t, "container ports") {
		ports = append(ports, corev1.ContainerPort{
			Name:          rapid.SampledFrom([]string{"web", "dns"}).Draw(t, "name"),
			Protocol:      rapid.SampledFrom([]corev1.Protocol{"TCP", "UDP", "SCTP"}).Draw(t, "protocol"),
			ContainerPort: int32(rapid.SampledFrom(testPorts).Draw(t, "number")),
		})
	}
	return ports
}

func describe(s Snapshot) string {
	var b strings.Builder
	for _, e := range s.Endpoints {
		fmt.Fprintf(&b, "pod %s %s/%s %v\n", e.Addr, e.Pod.Namespace, e.Pod.Name, e.Pod.Labels)
	}
	for _, p := range s.Policies {
		fmt.Fprintf(&b, "policy %s/%s %s\n", p.Namespace, p.Name, p.Spec.String())
	}
	return b.String()
}
