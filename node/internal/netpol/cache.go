package netpol

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// watched is what the watches have brought so far.
type watched struct {
	client     kubernetes.Interface
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   netlisters.NetworkPolicyLister
}

// watch starts the watches and waits for their first lists. `changed` is called after every event.
func watch(ctx context.Context, client kubernetes.Interface, changed func()) (*watched, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	pods, namespaces, policies := factory.Core().V1().Pods(), factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	on := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(on); err != nil {
			return nil, fmt.Errorf("watching: %w", err)
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("listing %s: %w", kind, context.Cause(ctx))
		}
	}
	return &watched{client, pods.Lister(), namespaces.Lister(), policies.Lister()}, nil
}

// slim drops what no rule depends on and is the largest part of most objects.
func slim(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return object, nil
}

// snapshot gives what the watches know, ready to compile.
func (w *watched) snapshot(sandboxes []Sandbox, podRange netip.Prefix, node []netip.Addr) (Snapshot, error) {
	s := Snapshot{PodRange: podRange, Node: node}
	pods, err := w.pods.List(labels.Everything())
	if err != nil {
		return s, fmt.Errorf("reading the watched pods: %w", err)
	}
	if s.Namespaces, err = w.namespaces.List(labels.Everything()); err != nil {
		return s, fmt.Errorf("reading the watched namespaces: %w", err)
	}
	if s.Policies, err = w.policies.List(labels.Everything()); err != nil {
		return s, fmt.Errorf("reading the watched policies: %w", err)
	}
	s.Endpoints = endpoints(pods, sandboxes, podRange)
	return s, nil
}

// catchUp asks the API server itself for the pod, its namespace and its policies, and waits until the watches show nothing older. A pod
// that is not there is no error: it is not confirmed, and its address will be dropped.
func (w *watched) catchUp(ctx context.Context, namespace, name string) error {
	pod, err := w.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for pod %s/%s: %w", namespace, name, err)
	}
	space, err := w.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("asking for namespace %s: %w", namespace, err)
	}
	policies, err := w.client.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("asking for the policies of %s: %w", namespace, err)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !w.shows(pod, space, policies) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the watches to show pod %s/%s and its policies: %w", namespace, name, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

func (w *watched) shows(pod *corev1.Pod, space *corev1.Namespace, policies *netv1.NetworkPolicyList) bool {
	// An error of a lister means "not there": newer than what was asked for only if it was deleted since, which ends the wait below by
	// its deadline and fails the ADD; kubelet asks again.
	if seen, err := w.pods.Pods(pod.Namespace).Get(pod.Name); err != nil || older(seen, pod) {
		return false
	}
	if seen, err := w.namespaces.Get(space.Name); err != nil || older(seen, space) {
		return false
	}
	listed := map[string]bool{}
	for i := range policies.Items {
		listed[policies.Items[i].Name] = true
		if seen, err := w.policies.NetworkPolicies(pod.Namespace).Get(policies.Items[i].Name); err != nil || older(seen, &policies.Items[i]) {
			return false
		}
	}
	// A policy that was gone when we asked must be gone from the watch too; one that came later may be there.
	seen, err := w.policies.NetworkPolicies(pod.Namespace).List(labels.Everything())
	if err != nil {
		return false
	}
	for _, p := range seen {
		if !listed[p.Name] && compare(p.ResourceVersion, policies.ResourceVersion) <= 0 {
			return false
		}
	}
	return true
}

func older(seen, asked metav1.Object) bool {
	return compare(seen.GetResourceVersion(), asked.GetResourceVersion()) < 0
}

// compare orders resource versions; ones that cannot be ordered count as old, so the wait goes on.
func compare(a, b string) int {
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return -1
	}
	return order
}
