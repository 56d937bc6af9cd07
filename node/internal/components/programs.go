package components

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"berth.dev/node/internal/config"
	"berth.dev/node/internal/supervise"
)

// Programs of the node, each with what it waits for.
func Programs(c config.Config) []supervise.Program {
	kube := c.Program("kube-node")
	pki := func(file string) string { return c.Path("pki", file) }
	etc := func(file string) string { return c.Path("etc", file) }
	own := func(name string, args ...string) []string {
		return append([]string{c.Program("berth-node"), name}, args...)
	}
	api := tcp(fmt.Sprintf("%s:6443", c.NodeAddress()))
	return []supervise.Program{
		{Name: "etcd", Last: true, Args: []string{kube, "etcd", "--name", NodeName, "--data-dir", c.Path("etcd"),
			"--listen-client-urls", "https://127.0.0.1:2379", "--advertise-client-urls", "https://127.0.0.1:2379",
			"--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://localhost:2380",
			"--initial-cluster", NodeName + "=http://localhost:2380", "--log-level", "warn", "--client-cert-auth",
			"--trusted-ca-file", pki("etcd-ca.crt"), "--cert-file", pki("etcd.crt"), "--key-file", pki("etcd.key")}},
		{Name: "apiserver", Needs: tcp("127.0.0.1:2379"), Args: []string{kube, "kube-apiserver",
			"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + pki("etcd-ca.crt"),
			"--etcd-certfile=" + pki("etcd-client.crt"), "--etcd-keyfile=" + pki("etcd-client.key"),
			"--secure-port=6443", "--bind-address=0.0.0.0", "--advertise-address=" + c.NodeAddress().String(),
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
			"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
			"--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
			"--service-cluster-ip-range=" + c.Services.String(),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--profiling=false",
			// Without it the watches of pods, which run a moment longer, hold up its end.
			"--shutdown-watch-termination-grace-period=1s",
			"--requestheader-client-ca-file=" + pki("front-ca.crt"), "--requestheader-allowed-names=front-proxy",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key")}},
		{Name: "controller-manager", Needs: api, Args: []string{kube, "kube-controller-manager",
			"--kubeconfig=" + etc("controller-manager.kubeconfig"), "--service-account-private-key-file=" + pki("sa.key"),
			"--root-ca-file=" + pki("ca.crt"), "--cluster-cidr=" + c.Pods.String(), "--allocate-node-cidrs=true",
			"--use-service-account-credentials", "--leader-elect=false", "--cluster-signing-cert-file=" + pki("ca.crt"),
			"--cluster-signing-key-file=" + pki("ca.key"), "--bind-address=127.0.0.1", "--profiling=false",
			"--flex-volume-plugin-dir=" + c.Path("kubelet", "volume-plugins")}},
		{Name: "scheduler", Needs: api, Args: []string{kube, "kube-scheduler",
			"--kubeconfig=" + etc("scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false"}},
		{Name: "containerd", Args: []string{c.Program("containerd"), "-c", etc("containerd.toml")}, Env: []string{"PATH=" + c.Bin + ":" + os.Getenv("PATH")}},
		{Name: "kubelet", Needs: both(api, unix(c.ContainerdSocket())), Args: []string{kube, "kubelet",
			"--config=" + etc("kubelet.yaml"), "--kubeconfig=" + etc("kubelet.kubeconfig"), "--hostname-override=" + NodeName,
			"--node-ip=" + c.NodeAddress().String(), "--root-dir=" + c.Path("kubelet"), "--cert-dir=" + c.Path("kubelet", "pki"), "--v=1"}},
		{Name: "proxy", Needs: api, Args: []string{kube, "kube-proxy", "--config=" + etc("proxy.yaml")}},
		{Name: "registry", Args: []string{"docker-registry", "serve", etc("registry.yaml")}, Env: []string{"OTEL_TRACES_EXPORTER=none"}},
		{Name: "netpol", Needs: api, Args: own("netpol")},
		{Name: "storage", Needs: api, Args: own("storage")},
	}
}

func tcp(address string) func(context.Context) error  { return answers("tcp", address) }
func unix(address string) func(context.Context) error { return answers("unix", address) }

func both(first, second func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := first(ctx); err != nil {
			return err
		}
		return second(ctx)
	}
}

// answers waits until something accepts connections there; only the context ends the wait.
func answers(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		for {
			connection, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				return connection.Close()
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}
