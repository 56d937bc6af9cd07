package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/node/internal/addons"
	"berth.dev/node/internal/components"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/netpol/hook"
)

// startDeadline bounds each wait of up.
const startDeadline = 3 * time.Minute

// awaitNode waits for one part after the other and says how long each took. What the API server tells of a node that has just started again
// may be of its last run; every step asks who knows.
func awaitNode(ctx context.Context, c config.Config) error {
	rest, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return err
	}
	rest.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	steps := []struct {
		what  string
		check func(context.Context) error
	}{
		// First, since it needs the runtime only: the API server takes longer to start.
		{"the container runtime and the node's own images", func(context.Context) error { return importImages(c) }},
		{"the API server", func(ctx context.Context) error {
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		}},
		{"network policy enforcement", func(ctx context.Context) error {
			return hook.Call(ctx, c.Path("run", "netpol.sock"), hook.Request{Op: hook.Status})
		}},
		{"the internal registry", func(ctx context.Context) error { return registryAnswers(ctx, c) }},
		{"the node", func(ctx context.Context) error { return nodeReady(ctx, client) }},
		{"DNS, metrics and the storage class", func(ctx context.Context) error {
			options := addons.Options{Kubeconfig: c.Kubeconfig(), DNSAddress: c.DNSAddress(), Timeout: startDeadline, Alive: runtimeHas(c)}
			if components.Resolvers() == "" {
				options.Upstreams = []string{}
			}
			return addons.Apply(ctx, options)
		}},
	}
	begun := time.Now()
	for _, step := range steps {
		if err := await(ctx, step.what, step.check); err != nil {
			return err
		}
	}
	fmt.Printf("node ready after %.1f s; kubeconfig: %s\n", time.Since(begun).Seconds(), c.Kubeconfig())
	return nil
}

func await(ctx context.Context, what string, check func(context.Context) error) error {
	begun := time.Now()
	for {
		err := check(ctx)
		if err == nil {
			fmt.Printf("  %-50s %5.1f s\n", what, time.Since(begun).Seconds())
			return nil
		}
		if time.Since(begun) > startDeadline {
			return fmt.Errorf("gave up waiting for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func registryAnswers(ctx context.Context, c config.Config) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:5000/v2/", c.NodeAddress()), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// nodeReady asks the kubelet first: until it reports, the API server tells of the node as it was when it last ran.
func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	kubelet := client.CoreV1().RESTClient().Get().Resource("nodes").Name(components.NodeName).SubResource("proxy").Suffix("healthz")
	if err := kubelet.Do(ctx).Error(); err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, components.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
	}
	return errors.New("it is not ready yet")
}

// runtimeHas says of a container's id whether the runtime runs it. Its state is empty at every start of the node.
func runtimeHas(c config.Config) func(id string) bool {
	return func(id string) bool {
		_, err := os.Stat(c.Path("run", "containerd", "io.containerd.runtime.v2.task", "k8s.io", id))
		return id != "" && err == nil
	}
}
