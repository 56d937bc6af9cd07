package lifecycle

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/node/internal/components"
)

// space is the namespace of the test's pods.
const space = "lifecycle"

// cluster is what the node serves, and the image that the test's pods run.
type cluster struct {
	kube  *kubernetes.Clientset
	image string
}

// connect makes the client and what the test's pods need: their namespace, and their image in the node's registry.
func (n *node) connect() {
	n.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(n.data, "kubeconfig"))
	must(n, err)
	// A request that a killed API server left unanswered is asked again.
	config.Timeout, config.QPS, config.Burst = 5*time.Second, 100, 200
	kube, err := kubernetes.NewForConfig(config)
	must(n, err)
	n.cluster = &cluster{kube: kube, image: n.pushImage()}
	_, err = kube.CoreV1().Namespaces().Create(n.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}, metav1.CreateOptions{})
	must(n, err)
	n.await("the service account of the test's namespace", soon, func() error {
		_, err := kube.CoreV1().ServiceAccounts(space).Get(n.ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (n *node) awaitAPIServer() {
	n.Helper()
	n.await("the API server's /readyz", soon, func() error {
		return n.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(n.ctx).Error()
	})
}

// awaitReady waits until the kubelet answers and the node is said to be Ready. A kubelet that was killed may not have been missed yet.
func (n *node) awaitReady() {
	n.Helper()
	n.await("the node to be Ready", soon, n.isReady)
}

func (n *node) isReady() error {
	kubelet := n.kube.CoreV1().RESTClient().Get().Resource("nodes").Name(components.NodeName).SubResource("proxy").Suffix("healthz")
	if err := kubelet.Do(n.ctx).Error(); err != nil {
		return err
	}
	found, err := n.kube.CoreV1().Nodes().Get(n.ctx, components.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return isTrue(found.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// renewedSince says whether a kubelet has renewed the node's lease after that moment.
func (n *node) renewedSince(since time.Time) error {
	lease, err := n.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(n.ctx, components.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
		return fmt.Errorf("the kubelet renewed its lease last at %v", lease.Spec.RenewTime)
	}
	return nil
}

func isTrue[C any](conditions []C, wanted func(C) bool) error {
	if slices.ContainsFunc(conditions, wanted) {
		return nil
	}
	return fmt.Errorf("the conditions are %+v", conditions)
}

// addOnsSince says whether the node's own pods are Ready, in containers that are not older than that moment.
func (n *node) addOnsSince(since time.Time) error {
	pods, err := n.kube.CoreV1().Pods(metav1.NamespaceSystem).List(n.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Running == nil || container.State.Running.StartedAt.Time.Before(since.Truncate(time.Second)) || !container.Ready {
				return fmt.Errorf("pod %s is not ready again: %+v", pod.Name, container.State)
			}
		}
	}
	return nil
}
