package netpol

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is the node under test.
type cluster struct {
	*testing.T
	kube   *kubernetes.Clientset
	node   string // the node's address
	image  string
	prefix string // of this run's namespaces
}

// patience is how long a probe waits before it calls a packet lost; on one node an answer takes less than a millisecond.
const patience = "200ms"

func newCluster(t *testing.T) *cluster {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG must name the kubeconfig of a running node; CTR and CONTAINERD_ADDRESS its ctr and containerd socket")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	must(t, err)
	config.QPS, config.Burst = 200, 400
	kube, err := kubernetes.NewForConfig(config)
	must(t, err)
	c := &cluster{T: t, kube: kube, image: image(t), prefix: fmt.Sprintf("netpol-%d-", os.Getpid())}
	nodes, err := kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, a := range nodes.Items[0].Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			c.node = a.Address
		}
	}
	return c
}

func (c *cluster) with(t *testing.T) *cluster {
	d := *c
	d.T = t
	return &d
}

// namespace makes a namespace that goes with the test. Its name carries the run's prefix.
func (c *cluster) namespace(name string, labels map[string]string) string {
	c.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.prefix + name, Labels: labels}}
	_, err := c.kube.CoreV1().Namespaces().Create(c.Context(), ns, metav1.CreateOptions{})
	must(c, err)
	c.Cleanup(func() {
		if err := c.kube.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			c.Error(err)
		}
	})
	// A pod cannot be made before its service account, which follows the namespace.
	c.await("the service account of "+ns.Name, 30*time.Second, func() (bool, error) {
		_, err := c.kube.CoreV1().ServiceAccounts(ns.Name).Get(c.Context(), "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	return ns.Name
}

// pod is a running probe.
type pod struct {
	c               *cluster
	namespace, name string
	ip              string
}

type podOption func(*corev1.Pod)

func ownUsers(p *corev1.Pod) { no := false; p.Spec.HostUsers = &no }

func labelled(labels map[string]string) podOption {
	return func(p *corev1.Pod) { p.Labels = labels }
}

func sendingTo(targets ...string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "TARGETS", Value: strings.Join(targets, " ")})
	}
}

// start creates a pod without waiting for it.
func (c *cluster) start(namespace, name string, options ...podOption) *pod {
	c.Helper()
	no, zero := false, int64(0)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &zero,
			Containers: []corev1.Container{{
				Name: "probe", Image: c.image, ImagePullPolicy: corev1.PullNever,
				Env:   []corev1.EnvVar{{Name: "NAME", Value: name}},
				Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
			}},
		},
	}
	for _, o := range options {
		o(p)
	}
	_, err := c.kube.CoreV1().Pods(namespace).Create(c.Context(), p, metav1.CreateOptions{})
	must(c, err)
	return &pod{c: c, namespace: namespace, name: name}
}

// pod creates a pod and waits until it answers.
func (c *cluster) pod(namespace, name string, options ...podOption) *pod {
	c.Helper()
	p := c.start(namespace, name, options...)
	p.ready()
	return p
}

func (p *pod) ready() {
	p.c.Helper()
	p.c.await("pod "+p.namespace+"/"+p.name+" to answer", 60*time.Second, func() (bool, error) {
		got, err := p.c.kube.CoreV1().Pods(p.namespace).Get(p.c.Context(), p.name, metav1.GetOptions{})
		if err != nil || got.Status.Phase != corev1.PodRunning || got.Status.PodIP == "" {
			return false, err
		}
		p.ip = got.Status.PodIP
		_, err = p.ask("heard", nil)
		return err == nil, nil
	})
}

// ask tells the probe something, through the API server: the node may always talk to its pods.
func (p *pod) ask(what string, params map[string]string) (string, error) {
	ctx, cancel := context.WithTimeout(p.c.Context(), 10*time.Second)
	defer cancel()
	out, err := p.c.kube.CoreV1().Pods(p.namespace).ProxyGet("http", p.name, "9999", what, params).DoRaw(ctx)
	return string(out), err
}

func (p *pod) must(what string, params map[string]string) string {
	p.c.Helper()
	out, err := p.ask(what, params)
	must(p.c, err)
	return out
}

// try gives "ok", "timeout" or the error of one exchange.
func (p *pod) try(network, host, port string) string {
	p.c.Helper()
	return p.must("try", map[string]string{"network": network, "to": net.JoinHostPort(host, port), "patience": patience})
}

// connects gives the same of a bare TCP handshake, for servers that do not speak first.
func (p *pod) connects(host, port string) string {
	p.c.Helper()
	return p.must("try", map[string]string{"network": "tcp4", "to": net.JoinHostPort(host, port), "patience": patience, "connect": "1"})
}

// expect fails the test when a verdict is not the wanted one. What should work may need a moment (a Service's rules, a busy machine); what
// should not must never.
func (c *cluster) expect(what, want string, try func() string) {
	c.Helper()
	got := try()
	for deadline := time.Now().Add(5 * time.Second); want == "ok" && got != want && time.Now().Before(deadline); {
		got = try()
	}
	if got != want {
		c.Errorf("%s: %s, want %s", what, got, want)
	}
}

// within waits for a verdict that a change made at `since` must bring. It counts the time at which the deciding try began.
func (c *cluster) within(limit time.Duration, what, want string, since time.Time, try func() string) {
	c.Helper()
	for {
		began := time.Since(since)
		got := try()
		if got == want {
			c.Logf("%s: %s after %d ms", what, want, began.Milliseconds())
			return
		}
		if began > limit {
			c.Errorf("%s: still %s after %s, want %s", what, got, began, want)
			return
		}
	}
}

func (c *cluster) await(what string, limit time.Duration, done func() (bool, error)) {
	c.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		ok, err := done()
		must(c, err)
		if ok {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("waited %s in vain for %s", limit, what)
		}
	}
}

// apply creates the policy or replaces it, and gives the moment at which the API server had it.
func (c *cluster) apply(namespace, name string, spec netv1.NetworkPolicySpec) time.Time {
	c.Helper()
	api := c.kube.NetworkingV1().NetworkPolicies(namespace)
	p := &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	_, err := api.Create(c.Context(), p, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(c.Context(), p, metav1.UpdateOptions{})
	}
	must(c, err)
	return time.Now()
}

func (c *cluster) remove(namespace, name string) time.Time {
	c.Helper()
	must(c, c.kube.NetworkingV1().NetworkPolicies(namespace).Delete(c.Context(), name, metav1.DeleteOptions{}))
	return time.Now()
}

// service makes a ClusterIP Service in front of a namespace's pods and gives its address.
func (c *cluster) service(namespace string, selector map[string]string) string {
	c.Helper()
	s, err := c.kube.CoreV1().Services(namespace).Create(c.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "front"},
		Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{
			{Name: "tcp", Port: 8080, Protocol: "TCP"}, {Name: "udp", Port: 8080, Protocol: "UDP"},
		}},
	}, metav1.CreateOptions{})
	must(c, err)
	return s.Spec.ClusterIP
}
