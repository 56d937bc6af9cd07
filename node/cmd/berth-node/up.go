package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/node/internal/addons"
	"berth.dev/node/internal/components"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/host"
	"berth.dev/node/internal/link"
	"berth.dev/node/internal/netpol/hook"
	"berth.dev/node/internal/ociimage"
	"berth.dev/node/internal/supervise"
)

// startDeadline bounds each wait of up.
const startDeadline = 3 * time.Minute

func up(ctx context.Context, c config.Config) error {
	if err := host.Prerequisites(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Path("run"), 0o700); err != nil {
		return err
	}
	if err := c.Save(); err != nil {
		return err
	}
	if !supervised(c) {
		if err := start(ctx, c); err != nil {
			return err
		}
	}
	return awaitNode(ctx, c)
}

// start cleans up after a node that was killed, then starts the supervisor inside the node's network namespace.
func start(ctx context.Context, c config.Config) error {
	if err := sweep(c); err != nil {
		return fmt.Errorf("cleaning up after the last run: %w", err)
	}
	if err := components.Prepare(c, time.Now()); err != nil {
		return err
	}
	if err := link.Up(c); err != nil {
		return err
	}
	if err := host.MakeCgroup(c.Cgroup()); err != nil {
		return err
	}
	log, err := supervise.OpenLog(c.Path("log", "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	file, err := os.OpenFile(c.Path("log", "supervisor.log"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	command := exec.Command("nsenter", "--net="+link.NamespacePath(c), c.Program("berth-node"), "supervise")
	command.Env = append(os.Environ(), "BERTH_DATA="+c.Data, "BERTH_NODE_BIN="+c.Bin)
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	return os.WriteFile(c.Path("run", "supervisor.pid"), []byte(strconv.Itoa(command.Process.Pid)), 0o600)
}

// supervisor is the process id of this node's running supervisor, 0 when there is none.
func supervisor(c config.Config) int {
	text, err := os.ReadFile(c.Path("run", "supervisor.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	// A number can be another process by now: ours has our command line and our data folder.
	line, lineErr := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	environment, environmentErr := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if lineErr != nil || environmentErr != nil || !strings.Contains(string(line), "supervise") ||
		!strings.Contains(string(environment), "BERTH_DATA="+c.Data+"\x00") {
		return 0
	}
	return pid
}

func supervised(c config.Config) bool { return supervisor(c) != 0 }

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
		{"the API server", func(ctx context.Context) error {
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		}},
		{"the container runtime and the node's own images", func(context.Context) error { return importImages(c) }},
		{"network policy enforcement", func(ctx context.Context) error {
			return hook.Call(ctx, c.Path("run", "netpol.sock"), hook.Request{Op: hook.Status})
		}},
		{"the internal registry", func(ctx context.Context) error { return registryAnswers(ctx, c) }},
		{"the node", func(ctx context.Context) error { return nodeReady(ctx, client) }},
		{"DNS, metrics and the storage class", func(ctx context.Context) error {
			options := addons.Options{Kubeconfig: c.Kubeconfig(), DNSAddress: c.DNSAddress(), Timeout: startDeadline}
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

// importImages gives the runtime the images of pause, DNS and metrics; they come with the node and are never pulled.
func importImages(c config.Config) error {
	images, err := addons.Images(c.Bin)
	if err != nil {
		return err
	}
	tar := c.Path("run", "images.tar")
	if err := ociimage.WriteTar(tar, images); err != nil {
		return err
	}
	defer os.Remove(tar)
	command := exec.Command(c.Program("ctr"), "--address", c.ContainerdSocket(), "--namespace", "k8s.io", "images", "import", tar)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("importing images: %w: %s", err, output)
	}
	return nil
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

func nodeReady(ctx context.Context, client kubernetes.Interface) error {
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

// sweep removes what a node that no longer runs left: processes, mounts, interfaces. Data stays.
func sweep(c config.Config) error {
	if err := host.KillCgroup(c.Cgroup()); err != nil {
		return err
	}
	// Shims carry their runtime's socket among their arguments.
	if err := host.KillWith(c.ContainerdSocket()); err != nil {
		return err
	}
	if err := unmountAll(c); err != nil {
		return err
	}
	if err := link.Down(c); err != nil {
		return err
	}
	// As after a reboot: the runtime's state is of processes that are gone.
	return os.RemoveAll(filepath.Join(c.Data, "run", "containerd"))
}
