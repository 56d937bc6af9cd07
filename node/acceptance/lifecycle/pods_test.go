package lifecycle

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pod is one of the test's, on a disk of its own at /data, behind a Service of its own. It needs every part of the node: its image comes
// from the registry each time, its disk from the provisioner, its Service's way from the proxy and its name from DNS.
type pod struct {
	n    *node
	name string
}

// start makes the pod, its disk and its Service, without waiting for them. A user namespace of its own is what Berth's containers have.
func (n *node) start(name, size string) *pod {
	n.Helper()
	meta := metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
	}}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: meta.Labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	no, now := false, int64(0)
	made := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		HostUsers: &no, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &now,
		Containers: []corev1.Container{{
			Name: "probe", Image: n.image, ImagePullPolicy: corev1.PullAlways,
			VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		}},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}}},
	}}
	core := n.kube.CoreV1()
	n.create("claim "+name, func() error {
		_, err := core.PersistentVolumeClaims(space).Create(n.ctx, claim, metav1.CreateOptions{})
		return err
	})
	n.create("Service "+name, func() error {
		_, err := core.Services(space).Create(n.ctx, service, metav1.CreateOptions{})
		return err
	})
	n.create("pod "+name, func() error {
		_, err := core.Pods(space).Create(n.ctx, made, metav1.CreateOptions{})
		return err
	})
	return &pod{n, name}
}

// create tries until the API server has the object: it may just have been killed, even after it did what was asked.
func (n *node) create(what string, try func() error) {
	n.Helper()
	n.await("the API server to take "+what, soon, func() error {
		if err := try(); !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	})
}

// in is the same pod seen by a part of the test.
func (p *pod) in(n *node) *pod { return &pod{n, p.name} }

// ready waits for the condition of that name.
func (p *pod) ready() *pod {
	p.n.Helper()
	p.n.await("pod "+p.name+" to be Ready", soon, func() error {
		got, err := p.n.kube.CoreV1().Pods(space).Get(p.n.ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return isTrue(got.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
	})
	return p
}

// try what the words say inside the pod, once.
func (p *pod) try(words ...string) (string, error) {
	return p.n.try(append([]string{"kubectl", "exec", "--request-timeout=10s", "-n", space, p.name, "--", "/probe"}, words...)...)
}

// does the same, and again while the pod cannot be reached.
func (p *pod) does(words ...string) string {
	p.n.Helper()
	var output string
	p.n.await(fmt.Sprintf("pod %s to %s", p.name, strings.Join(words, " ")), soon, func() (err error) {
		output, err = p.try(words...)
		return err
	})
	return output
}

// reaches another through its Service, by its name.
func (p *pod) reaches(other *pod) {
	p.n.Helper()
	p.n.await(fmt.Sprintf("pod %s to reach %s through its Service", p.name, other.name), soon, func() error {
		answer, err := p.try("get", "http://"+other.name)
		if err == nil && answer != other.name {
			err = fmt.Errorf("%q answered", answer)
		}
		return err
	})
}

// life is the container and the moment its first process began, as told from inside: another one after any restart.
func (p *pod) life() string {
	p.n.Helper()
	var id string
	p.n.await("the container of pod "+p.name, soon, func() error {
		got, err := p.n.kube.CoreV1().Pods(space).Get(p.n.ctx, p.name, metav1.GetOptions{})
		if err == nil && (len(got.Status.ContainerStatuses) != 1 || got.Status.ContainerStatuses[0].State.Running == nil) {
			err = fmt.Errorf("it does not run: %+v", got.Status.ContainerStatuses)
		}
		if err == nil {
			id = got.Status.ContainerStatuses[0].ContainerID
		}
		return err
	})
	return id + " since " + p.does("born")
}

// remove the pod, its disk and its Service, and wait until the disk is gone.
func (p *pod) remove() {
	p.n.Helper()
	core := p.n.kube.CoreV1()
	claim, err := core.PersistentVolumeClaims(space).Get(p.n.ctx, p.name, metav1.GetOptions{})
	must(p.n, err)
	must(p.n, core.Pods(space).Delete(p.n.ctx, p.name, metav1.DeleteOptions{}))
	must(p.n, core.Services(space).Delete(p.n.ctx, p.name, metav1.DeleteOptions{}))
	must(p.n, core.PersistentVolumeClaims(space).Delete(p.n.ctx, p.name, metav1.DeleteOptions{}))
	p.n.await("the disk of pod "+p.name+" to go", soon, func() error {
		found, err := filepath.Glob(filepath.Join(p.n.data, "volumes", "images", "*"+string(claim.UID)+"*"))
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("there is %s", found)
		}
		return err
	})
}

// newcomer is a pod made to see whether the node works.
type newcomer struct {
	*pod
	ready, reached time.Duration
}

func (c newcomer) String() string {
	return fmt.Sprintf("a new pod Ready after %.1f s and reached after %.1f s", c.ready.Seconds(), c.reached.Seconds())
}

// meets a new pod, and says how long after the beginning that was possible.
func (p *pod) meets(name string, began time.Time) newcomer {
	p.n.Helper()
	c := newcomer{pod: p.n.start(name, "64Mi").ready(), ready: time.Since(began)}
	p.reaches(c.pod)
	c.reached = time.Since(began)
	return c
}
