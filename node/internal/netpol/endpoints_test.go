package netpol

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func pod(name, ip string, changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID("uid-" + name)}}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	for _, c := range changes {
		c(p)
	}
	return p
}

func sandbox(name, ip string, gone bool) Sandbox {
	return Sandbox{Container: "c-" + name, Namespace: "ns", Name: name, UID: "uid-" + name, Addr: netip.MustParseAddr(ip), Gone: gone}
}

func TestEndpoints(t *testing.T) {
	cases := []struct {
		name      string
		pods      []*corev1.Pod
		sandboxes []Sandbox
		want      map[string]string // address → pod
	}{
		{"known by its status", []*corev1.Pod{pod("a", "10.42.0.2")}, nil, map[string]string{"10.42.0.2": "a"}},
		{"known by CNI before its status", []*corev1.Pod{pod("a", "")}, []Sandbox{sandbox("a", "10.42.0.2", false)}, map[string]string{"10.42.0.2": "a"}},
		{"CNI over a late status", []*corev1.Pod{pod("a", "10.42.0.2")}, []Sandbox{sandbox("a", "10.42.0.3", false)}, map[string]string{"10.42.0.3": "a"}},
		{"its sandbox is gone", []*corev1.Pod{pod("a", "10.42.0.2")}, []Sandbox{sandbox("a", "10.42.0.2", true)}, nil},
		{"its address has a new owner", []*corev1.Pod{pod("a", "10.42.0.2"), pod("b", "")}, []Sandbox{sandbox("b", "10.42.0.2", false)}, map[string]string{"10.42.0.2": "b"}},
		{"the API server knows no such pod", nil, []Sandbox{sandbox("a", "10.42.0.2", false)}, nil},
		{"another pod of the same name", []*corev1.Pod{pod("a", "", func(p *corev1.Pod) { p.UID = "other" })}, []Sandbox{sandbox("a", "10.42.0.2", false)}, nil},
		{"the image of a static pod", []*corev1.Pod{pod("a", "", func(p *corev1.Pod) {
			p.UID = "other"
			p.Annotations = map[string]string{mirrorAnnotation: "uid-a"}
		})}, []Sandbox{sandbox("a", "10.42.0.2", false)}, map[string]string{"10.42.0.2": "a"}},
		{"a static pod's word about another's UID", []*corev1.Pod{pod("evil", "", func(p *corev1.Pod) {
			p.Annotations = map[string]string{mirrorAnnotation: "uid-a"}
		})}, []Sandbox{sandbox("a", "10.42.0.2", false)}, nil},
		{"finished", []*corev1.Pod{pod("a", "10.42.0.2", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })}, nil, nil},
		{"on the node's network", []*corev1.Pod{pod("a", "10.41.0.2", func(p *corev1.Pod) { p.Spec.HostNetwork = true })}, nil, nil},
		{"outside the pod range", []*corev1.Pod{pod("a", "10.50.0.2")}, nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]string{}
			for _, e := range endpoints(c.pods, c.sandboxes, testPodRange) {
				got[e.Addr.String()] = e.Pod.Name
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for addr, name := range c.want {
				if got[addr] != name {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandboxes.json")
	r, err := loadRegistry(path)
	must(t, err)
	must(t, r.add(sandbox("a", "10.42.0.2", false)))
	must(t, r.add(sandbox("b", "10.42.0.3", false)))
	taken := sandbox("c", "10.42.0.2", false) // a's DEL never came
	must(t, r.add(taken))
	again := sandbox("b", "10.42.0.4", false) // a new sandbox of the same pod; the old one's DEL comes late
	again.Container = "c-b2"
	must(t, r.add(again))
	if was, err := r.remove("c-b"); err != nil || was {
		t.Errorf("removing the replaced sandbox: %v, %v", was, err)
	}
	for range 2 { // CNI deletes more than once
		_, err := r.remove("c-c")
		must(t, err)
	}
	loaded, err := loadRegistry(path)
	must(t, err)
	taken.Gone = true
	if want := []Sandbox{taken, again}; !slices.Equal(loaded.sandboxes, want) {
		t.Fatalf("%+v, want %+v", loaded.sandboxes, want)
	}
	must(t, loaded.prune(func(Sandbox) bool { return false }))
	if want := []Sandbox{again}; !slices.Equal(loaded.sandboxes, want) {
		t.Fatalf("pruned to %+v, want %+v", loaded.sandboxes, want)
	}
}
