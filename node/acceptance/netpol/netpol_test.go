package netpol

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// followLimit is how long after the API server has a change its effect may take.
const followLimit = time.Second

// A pod under a tenant's policy reaches DNS and the internet and nothing internal; the internet reaches its one port. With and without a
// user namespace of its own. Every refused target is first shown to answer a pod without a policy.
func TestTenant(t *testing.T) {
	c := newCluster(t)
	neighbourSpace := c.namespace("neighbour", nil)
	tenantSpace := c.namespace("tenant", nil)
	neighbour := c.pod(neighbourSpace, "neighbour", labelled(map[string]string{"app": "neighbour"}))
	neighbourService := c.service(neighbourSpace, map[string]string{"app": "neighbour"})
	dnsService, dnsPod := c.dns()
	apiService := c.serviceAddress("default", "kubernetes")
	c.apply(tenantSpace, "tenant", tenantPolicy(dnsService))
	tenants := []*pod{c.pod(tenantSpace, "plain", labelled(map[string]string{"app": "plain"})), c.pod(tenantSpace, "own-users", ownUsers)}
	ownService := c.service(tenantSpace, map[string]string{"app": "plain"})
	outside := newOutside(t, c, tenants[0], tenants[1], neighbour)

	internal := map[string]func(*pod) string{
		"API server at the node":     func(p *pod) string { return p.connects(c.node, "6443") },
		"API server's Service":       func(p *pod) string { return p.connects(apiService, "443") },
		"kubelet":                    func(p *pod) string { return p.connects(c.node, "10250") },
		"another's pod":              func(p *pod) string { return p.try("tcp4", neighbour.ip, "8080") },
		"another's pod, UDP":         func(p *pod) string { return p.try("udp4", neighbour.ip, "8080") },
		"another's Service":          func(p *pod) string { return p.try("tcp4", neighbourService, "8080") },
		"another's Service, UDP":     func(p *pod) string { return p.try("udp4", neighbourService, "8080") },
		"health port of the DNS pod": func(p *pod) string { return p.connects(dnsPod, "8080") },
		"a pod's port from beside":   func(p *pod) string { return p.try("tcp4", tenants[0].ip, "8080") },
	}
	allowed := map[string]func(*pod) string{
		"DNS Service":   func(p *pod) string { return p.resolves(dnsService) },
		"DNS pod":       func(p *pod) string { return p.resolves(dnsPod) },
		"internet":      func(p *pod) string { return p.try("tcp4", outsideAddr, "8080") },
		"internet, UDP": func(p *pod) string { return p.try("udp4", outsideAddr, "8080") },
	}
	for what, try := range internal {
		if what != "a pod's port from beside" { // refused to everyone but the internet
			c.expect("without a policy → "+what, "ok", func() string { return try(neighbour) })
		}
	}
	c.expect("without a policy → a tenant's port", "timeout", func() string { return tenants[0].sees(neighbour) })
	for _, p := range tenants {
		for what, try := range internal {
			if what == "a pod's port from beside" && p == tenants[0] {
				continue
			}
			c.expect(p.name+" → "+what, "timeout", func() string { return try(p) })
		}
		for what, try := range allowed {
			c.expect(p.name+" → "+what, "ok", func() string { return try(p) })
		}
		c.expect("internet → "+p.name+", its port", "ok", func() string { return outside.try(p.ip, "8080") })
		c.expect("internet → "+p.name+", another port", "timeout", func() string { return outside.try(p.ip, "8081") })
	}
	c.expect("a pod → itself through its Service", "ok", func() string { return tenants[0].try("tcp4", ownService, "8080") })
	c.expect("a pod → the Service of one beside it", "timeout", func() string { return tenants[1].try("tcp4", ownService, "8080") })
	c.expect("internet → a pod without a policy", "ok", func() string { return outside.try(neighbour.ip, "8081") })
}

// Each kind of rule takes effect within a second of the API server having it, and so does its end.
func TestRules(t *testing.T) {
	c := newCluster(t)
	serverSpace := c.namespace("server", nil)
	friendSpace := c.namespace("friend", map[string]string{"team": "friend"})
	strangerSpace := c.namespace("stranger", nil)
	server := c.pod(serverSpace, "server", ownUsers, labelled(map[string]string{"app": "server"}))
	beside := c.pod(serverSpace, "beside", labelled(map[string]string{"role": "client"}))
	friend := c.pod(friendSpace, "friend", labelled(map[string]string{"role": "client"}), ownUsers)
	quiet := c.pod(friendSpace, "quiet")
	stranger := c.pod(strangerSpace, "stranger", labelled(map[string]string{"role": "client"}))
	outside := newOutside(t, c, server)
	all := []*pod{beside, friend, quiet, stranger}

	only := func(t *testing.T, what, port string, since time.Time, admitted ...*pod) {
		t.Helper()
		c := c.with(t)
		for _, p := range all {
			want := "timeout"
			if slices.Contains(admitted, p) {
				want = "ok"
			}
			c.within(followLimit, what+": "+p.name+" → "+port, want, since, func() string { return p.try("tcp4", server.ip, port) })
			since = time.Now().Add(-time.Millisecond) // the first has waited; by now the change is in force for all
		}
	}
	cases := []struct {
		name     string
		policy   func() time.Time
		port     string
		admitted []*pod
	}{
		{"default deny", func() time.Time { return c.apply(serverSpace, "p", denyAll("Ingress")) }, "8080", nil},
		{"policy types default to ingress", func() time.Time { return c.apply(serverSpace, "p", denyAll()) }, "8080", nil},
		{"namespaceSelector", func() time.Time { return c.apply(serverSpace, "p", admit(nil, fromSpaces("team", "friend"))) }, "8080", []*pod{friend, quiet}},
		{"podSelector", func() time.Time { return c.apply(serverSpace, "p", admit(nil, fromPods("role", "client"))) }, "8080", []*pod{beside}},
		{"both together", func() time.Time {
			both := fromSpaces("team", "friend")
			both.PodSelector = selects("role", "client")
			return c.apply(serverSpace, "p", admit(nil, both))
		}, "8080", []*pod{friend}},
		{"either of two", func() time.Time {
			return c.apply(serverSpace, "p", admit(nil, fromSpaces("team", "friend"), fromPods("role", "client")))
		}, "8080", []*pod{friend, quiet, beside}},
		{"named port", func() time.Time { return c.apply(serverSpace, "p", admit(named("web"))) }, "8080", all},
		{"another than the named port", func() time.Time { return c.apply(serverSpace, "p", admit(named("web"))) }, "8081", nil},
		{"port range, its end", func() time.Time { return c.apply(serverSpace, "p", admit(portRange(8081, 8082))) }, "8082", all},
		{"outside the range", func() time.Time { return c.apply(serverSpace, "p", admit(portRange(8081, 8082))) }, "8080", nil},
		{"an ipBlock covers no pods", func() time.Time { return c.apply(serverSpace, "p", admit(nil, block("0.0.0.0/0"))) }, "8080", nil},
		// The pod beside the server is of the same namespace, so it may send no more.
		{"an egress policy closes no ingress", func() time.Time { return c.apply(serverSpace, "p", denyAll("Egress")) }, "8080", []*pod{friend, quiet, stranger}},
		{"deleted", func() time.Time { return c.remove(serverSpace, "p") }, "8080", all},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) { only(t, test.name, test.port, test.policy(), test.admitted...) })
	}
	t.Run("except", func(t *testing.T) {
		c := c.with(t)
		since := c.apply(serverSpace, "p", admit(nil, block("198.51.100.0/24", "198.51.100.0/29")))
		c.within(followLimit, "internet, excepted", "timeout", since, func() string { return outside.try(server.ip, "8080") })
		since = c.apply(serverSpace, "p", admit(nil, block("198.51.100.0/24", "198.51.100.128/25")))
		c.within(followLimit, "internet, not excepted", "ok", since, func() string { return outside.try(server.ip, "8080") })
		c.remove(serverSpace, "p")
	})
	t.Run("egress", func(t *testing.T) {
		c := c.with(t)
		since := c.apply(friendSpace, "out", release(named("web"), fromSpaces("kubernetes.io/metadata.name", serverSpace)))
		c.within(followLimit, "friend → another port", "timeout", since, func() string { return friend.try("tcp4", server.ip, "8081") })
		c.expect("friend → the server's named port", "ok", func() string { return friend.try("tcp4", server.ip, "8080") })
		c.expect("friend → another namespace", "timeout", func() string { return friend.try("tcp4", stranger.ip, "8080") })
		c.expect("friend → the node", "timeout", func() string { return friend.connects(c.node, "6443") })
		since = c.apply(friendSpace, "out", release(nil, block("0.0.0.0/0")))
		c.within(followLimit, "friend → the server, of no block", "timeout", since, func() string { return friend.try("tcp4", server.ip, "8080") })
		c.expect("friend → the node, of no block", "timeout", func() string { return friend.connects(c.node, "6443") })
		since = c.apply(friendSpace, "out", release(nil))
		c.within(followLimit, "friend → everywhere", "ok", since, func() string { return friend.try("tcp4", server.ip, "8080") })
		c.expect("friend → the node as well", "ok", func() string { return friend.connects(c.node, "6443") })
		since = c.remove(friendSpace, "out")
		c.within(followLimit, "friend → another namespace", "ok", since, func() string { return friend.try("tcp4", stranger.ip, "8080") })
	})
	t.Run("labels", func(t *testing.T) {
		c := c.with(t)
		since := c.apply(serverSpace, "p", admit(nil, fromSpaces("team", "friend"), fromPods("role", "client")))
		try := func(p *pod) func() string { return func() string { return p.try("tcp4", server.ip, "8080") } }
		c.within(followLimit, "stranger", "timeout", since, try(stranger))
		c.within(followLimit, "stranger's namespace is befriended", "ok", c.labelSpace(strangerSpace, `"friend"`), try(stranger))
		c.within(followLimit, "and not any more", "timeout", c.labelSpace(strangerSpace, "null"), try(stranger))
		c.within(followLimit, "a pod loses its role", "timeout", c.labelPod(beside, "role", "null"), try(beside))
		c.within(followLimit, "and gets it back", "ok", c.labelPod(beside, "role", `"client"`), try(beside))
		spec := denyAll("Ingress")
		spec.PodSelector = *selects("app", "server")
		c.apply(serverSpace, "p", spec)
		c.within(followLimit, "the server is selected no more", "ok", c.labelPod(server, "app", `"other"`), try(stranger))
		c.remove(serverSpace, "p")
	})
	t.Run("an open connection is cut", func(t *testing.T) {
		c := c.with(t)
		to := map[string]string{"to": server.ip + ":9090"}
		for _, cut := range []struct{ namespace, side string }{{serverSpace, "Ingress"}, {friendSpace, "Egress"}} {
			c.expect("opening", "ok", func() string { return friend.must("hold", to) })
			c.expect("before the policy", "ok", func() string { return friend.must("ping", to) })
			since := c.apply(cut.namespace, "cut", denyAll(netv1.PolicyType(cut.side)))
			c.within(followLimit, "the open connection under "+cut.side, "timeout", since, func() string { return friend.must("ping", to) })
			since = c.remove(cut.namespace, "cut")
			c.within(followLimit, "a new connection", "ok", since, func() string { return friend.try("tcp4", server.ip, "8080") })
		}
	})
}

// Ten pods that start in a denied namespace, sending from their first instruction on, never get a packet out; ten that start beside it in
// a free one do, so the listener would have heard.
func TestNoPacketBeforeThePolicy(t *testing.T) {
	c := newCluster(t)
	listenerSpace := c.namespace("listener", nil)
	denied, free := c.namespace("denied", nil), c.namespace("free", nil)
	c.apply(denied, "deny", denyAll("Egress"))
	listener := c.pod(listenerSpace, "listener", labelled(map[string]string{"app": "listener"}))
	service := c.service(listenerSpace, map[string]string{"app": "listener"})
	var pods []*pod
	for i := range 10 {
		targets := sendingTo(listener.ip+":8080", service+":8080")
		options := []podOption{targets}
		if i%2 == 1 {
			options = append(options, ownUsers)
		}
		pods = append(pods, c.start(denied, fmt.Sprint("denied", i), options...), c.start(free, fmt.Sprint("free", i), options...))
	}
	for _, p := range pods {
		p.ready()
	}
	c.await("every free pod to be heard", 30*time.Second, func() (bool, error) {
		return strings.Count(listener.must("heard", nil), "free") == 10, nil
	})
	if heard := listener.must("heard", nil); strings.Contains(heard, "denied") {
		t.Errorf("heard %s", heard)
	}
}

func (p *pod) resolves(server string) string {
	p.c.Helper()
	return p.must("dns", map[string]string{"server": server + ":53", "name": "kubernetes.default.svc.cluster.local"})
}

// sees tries this pod's port from another.
func (p *pod) sees(from *pod) string { return from.try("tcp4", p.ip, "8080") }

// dns gives the addresses of the cluster's DNS Service and of one of its pods.
func (c *cluster) dns() (service, podAddr string) {
	c.Helper()
	pods, err := c.kube.CoreV1().Pods("kube-system").List(c.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns", FieldSelector: "status.phase=Running"})
	must(c, err)
	if len(pods.Items) == 0 {
		c.Fatal("the node runs no DNS pod (kube-system, k8s-app=kube-dns)")
	}
	return c.serviceAddress("kube-system", "kube-dns"), pods.Items[0].Status.PodIP
}

func (c *cluster) serviceAddress(namespace, name string) string {
	c.Helper()
	s, err := c.kube.CoreV1().Services(namespace).Get(c.Context(), name, metav1.GetOptions{})
	must(c, err)
	return s.Spec.ClusterIP
}

func (c *cluster) labelSpace(namespace, value string) time.Time {
	c.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"team":%s}}}`, value)
	_, err := c.kube.CoreV1().Namespaces().Patch(context.Background(), namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(c, err)
	return time.Now()
}

func (c *cluster) labelPod(p *pod, key, value string) time.Time {
	c.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, key, value)
	_, err := c.kube.CoreV1().Pods(p.namespace).Patch(context.Background(), p.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(c, err)
	return time.Now()
}
