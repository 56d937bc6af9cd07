package addons

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func options() Options {
	return Options{DNSAddress: netip.MustParseAddr("10.143.0.10"), ClusterDomain: "cluster.example"}
}

func rendered(t *testing.T, o Options) map[string]*unstructured.Unstructured {
	t.Helper()
	certificate, err := newCertificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := render(o, certificate)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		if named[describe(object)] != nil {
			t.Errorf("%s is there twice", describe(object))
		}
		named[describe(object)] = object
	}
	return named
}

func text(t *testing.T, object *unstructured.Unstructured, path ...string) string {
	t.Helper()
	value, found, err := unstructured.NestedString(object.Object, path...)
	if err != nil || !found {
		t.Fatalf("%s: %v: found %v, %v", describe(object), path, found, err)
	}
	return value
}

func TestTheParametersReachTheObjects(t *testing.T) {
	objects := rendered(t, options())
	if got := text(t, objects["Service kube-system/kube-dns"], "spec", "clusterIP"); got != "10.143.0.10" {
		t.Errorf("the DNS Service's address is %s", got)
	}
	config := text(t, objects["ConfigMap kube-system/coredns"], "data", "Corefile")
	if !strings.Contains(config, "kubernetes cluster.example in-addr.arpa") || !strings.Contains(config, "forward . /etc/resolv.conf\n") {
		t.Errorf("Corefile:\n%s", config)
	}
	if got := text(t, objects["StorageClass berth-disk"], "provisioner"); got != "berth.dev/disk" {
		t.Errorf("the provisioner is %s", got)
	}
}

func TestUpstreamsDecideTheForwarding(t *testing.T) {
	for want, upstreams := range map[string][]string{"forward . /etc/resolv.conf\n": nil, "forward . 198.51.100.2 198.51.100.3:5353\n": {"198.51.100.2", "198.51.100.3:5353"}} {
		o := options()
		o.Upstreams = upstreams
		if got := corefile(o); !strings.Contains(got, want) {
			t.Errorf("Corefile for %v:\n%s", upstreams, got)
		}
	}
	o := options()
	o.Upstreams = []string{}
	if got := corefile(o); strings.Contains(got, "forward") {
		t.Errorf("Corefile without upstreams:\n%s", got)
	}
}

func TestANewConfigurationIsANewPod(t *testing.T) {
	path := []string{"spec", "template", "metadata", "annotations", "berth.dev/corefile"}
	other := options()
	other.Upstreams = []string{"198.51.100.2"}
	one, two := rendered(t, options()), rendered(t, other)
	const coredns = "Deployment kube-system/coredns"
	if text(t, one[coredns], path...) == text(t, two[coredns], path...) {
		t.Error("the annotation is the same")
	}
}

// Every pod of ours meets what PSA calls restricted; the one exception it needs (a safe sysctl) is within it.
func TestAddOnsAreConfined(t *testing.T) {
	for name, object := range rendered(t, options()) {
		if object.GetKind() != "Deployment" {
			continue
		}
		pod, _, err := unstructured.NestedMap(object.Object, "spec", "template", "spec")
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{"hostNetwork", "hostPID", "hostIPC"} {
			if pod[forbidden] != nil {
				t.Errorf("%s sets %s", name, forbidden)
			}
		}
		if nonRoot, _, err := unstructured.NestedBool(pod, "securityContext", "runAsNonRoot"); err != nil || !nonRoot {
			t.Errorf("%s may run as root: %v", name, err)
		}
		if profile, _, err := unstructured.NestedString(pod, "securityContext", "seccompProfile", "type"); err != nil || profile != "RuntimeDefault" {
			t.Errorf("%s has the seccomp profile %q: %v", name, profile, err)
		}
		containers, _, err := unstructured.NestedSlice(pod, "containers")
		if err != nil || len(containers) != 1 {
			t.Fatalf("%s has %d containers: %v", name, len(containers), err)
		}
		container := containers[0].(map[string]any)
		dropped, _, err := unstructured.NestedStringSlice(container, "securityContext", "capabilities", "drop")
		if err != nil || len(dropped) != 1 || dropped[0] != "ALL" {
			t.Errorf("%s drops %v: %v", name, dropped, err)
		}
		if _, found, _ := unstructured.NestedSlice(container, "securityContext", "capabilities", "add"); found {
			t.Errorf("%s adds capabilities", name)
		}
		escalation, found, err := unstructured.NestedBool(container, "securityContext", "allowPrivilegeEscalation")
		if err != nil || !found || escalation {
			t.Errorf("%s may gain privileges: %v", name, err)
		}
	}
}

func TestTheMetricsAPIIsVerified(t *testing.T) {
	objects := rendered(t, options())
	service := objects["APIService v1beta1.metrics.k8s.io"]
	if text(t, service, "spec", "caBundle") != text(t, objects["Secret kube-system/metrics-server-tls"], "data", "tls.crt") {
		t.Error("the pinned certificate is not the served one")
	}
	if _, found, _ := unstructured.NestedBool(service.Object, "spec", "insecureSkipTLSVerify"); found {
		t.Error("verification is switched off")
	}
}

func TestACertificateIsKeptWhileItIsGood(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pair, err := newCertificate(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		when time.Time
		good bool
	}{
		{now, true}, {now.Add(certificateLife - renewBefore - time.Minute), true}, {now.Add(certificateLife - renewBefore + time.Minute), false},
		{now.Add(certificateLife + time.Minute), false}, {now.Add(-2 * time.Hour), false},
	} {
		if usable(pair, at.when) != at.good {
			t.Errorf("at %s usable is %v", at.when, !at.good)
		}
	}
	other, err := newCertificate(now)
	if err != nil {
		t.Fatal(err)
	}
	if usable(keyPair{certificate: pair.certificate, key: other.key}, now) {
		t.Error("a certificate with another key is usable")
	}
	if usable(keyPair{}, now) {
		t.Error("nothing is usable")
	}
}

func TestOnlyRefusalsThatWillNotPassEndTheTries(t *testing.T) {
	kind := schema.GroupResource{Resource: "services"}
	for _, err := range []error{apierrors.NewBadRequest("x"), apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "x", nil), apierrors.NewUnauthorized("x")} {
		if !lasting(err) {
			t.Errorf("%v would be tried again", err)
		}
	}
	for _, err := range []error{apierrors.NewNotFound(kind, "x"), apierrors.NewServiceUnavailable("x"), apierrors.NewForbidden(kind, "x", nil), apierrors.NewTimeoutError("x", 1), errors.New("refused"), context.DeadlineExceeded} {
		if lasting(err) {
			t.Errorf("%v would not be tried again", err)
		}
	}
}

func TestADeploymentServesWhenItsNewestPodsDo(t *testing.T) {
	deployment := func(generation, observed, updated, available, unavailable int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"generation": generation},
			"spec":     map[string]any{"replicas": int64(1)},
			"status": map[string]any{
				"observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available, "unavailableReplicas": unavailable,
			},
		}}
	}
	for _, c := range []struct {
		name       string
		deployment *unstructured.Unstructured
		serves     bool
	}{
		{"serving", deployment(2, 2, 1, 1, 0), true},
		{"not yet noticed", deployment(2, 1, 1, 1, 0), false},
		{"only an old pod", deployment(2, 2, 0, 1, 0), false},
		{"old pod available, new one not", deployment(2, 2, 1, 1, 1), false},
		{"nothing yet", deployment(1, 1, 1, 0, 1), false},
	} {
		if serves, why := deploymentServes(c.deployment); serves != c.serves {
			t.Errorf("%s: %v (%s)", c.name, serves, why)
		}
	}
}

func TestAPodServesWhenItsContainersAreThere(t *testing.T) {
	pod := func(ready corev1.ConditionStatus, id string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
			ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://" + id}},
		}}
	}
	alive := func(id string) bool { return id == "new" }
	ending, failed := pod(corev1.ConditionTrue, "old"), pod(corev1.ConditionFalse, "old")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	failed.Status.Phase = corev1.PodFailed
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		alive  func(string) bool
		serves bool
	}{
		"ready":                    {pod(corev1.ConditionTrue, "new"), alive, true},
		"not ready":                {pod(corev1.ConditionFalse, "new"), alive, false},
		"ready before the start":   {pod(corev1.ConditionTrue, "old"), alive, false},
		"ready, and nobody to ask": {pod(corev1.ConditionTrue, "old"), nil, true},
		"ending":                   {ending, alive, true},
		"evicted":                  {failed, alive, true},
		"nothing known of it":      {&corev1.Pod{}, alive, false},
	} {
		if serves, why := podServes(c.pod, c.alive); serves != c.serves {
			t.Errorf("%s: %v (%s)", name, serves, why)
		}
	}
}
