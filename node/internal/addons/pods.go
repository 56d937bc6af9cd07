package addons

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
)

// podsServe is true when every pod of the deployment does. The deployment's own status is what its controller made of the pods some time ago:
// after a restart of the node, of pods that ran before it.
func podsServe(ctx context.Context, client dynamic.Interface, deployment *unstructured.Unstructured, alive func(container string) bool) (bool, string) {
	selector, _, err := unstructured.NestedStringMap(deployment.Object, "spec", "selector", "matchLabels")
	if err != nil {
		return false, err.Error()
	}
	list, err := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(deployment.GetNamespace()).
		List(ctx, metav1.ListOptions{LabelSelector: labels.FormatLabels(selector)})
	if err != nil {
		return false, err.Error()
	}
	for _, item := range list.Items {
		var pod corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &pod); err != nil {
			return false, err.Error()
		}
		if serves, why := podServes(&pod, alive); !serves {
			return false, fmt.Sprintf("pod %s %s", pod.Name, why)
		}
	}
	return true, ""
}

// podServes is true when the pod is ready and the runtime has its containers. Pods that are ending have nothing to say.
func podServes(pod *corev1.Pod, alive func(container string) bool) (bool, string) {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return true, ""
	}
	for _, status := range pod.Status.ContainerStatuses {
		_, id, _ := strings.Cut(status.ContainerID, "://")
		if alive != nil && !alive(id) {
			return false, "is told of as it was before the node's start"
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return true, ""
		}
	}
	return false, "is not ready"
}
