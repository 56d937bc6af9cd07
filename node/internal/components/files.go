// Package components says how each program of the node is started and what it reads. Everything here follows from the configuration.
package components

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/node/internal/addons"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/pki"
)

// NodeName of the one node.
const NodeName = "berth"

// Registry is the internal registry's name in image references.
const Registry = "registry.berth.internal"

// Prepare writes certificates, kubeconfigs and configuration files.
func Prepare(c config.Config, now time.Time) error {
	for _, folder := range []string{"pki", "run", "log", "etc", "etcd", "kubelet", "containerd", "registry", "podlogs", "netpol", "etc/cni", "etc/certs.d/" + Registry} {
		if err := os.MkdirAll(c.Path(folder), 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.Runtime(), 0o711); err != nil {
		return err
	}
	// Root inside a user namespace is nobody here, and must pass through these to its own root file system.
	for _, folder := range []string{"", "run", "containerd", "kubelet"} {
		if err := os.Chmod(c.Path(folder), 0o711); err != nil {
			return err
		}
	}
	if err := pki.Ensure(c.Path("pki"), subjects(c), now); err != nil {
		return err
	}
	for _, user := range []string{"admin", "controller-manager", "scheduler", "kubelet", "proxy", "netpol", "storage"} {
		if err := kubeconfig(c, user, c.Path("etc", user+".kubeconfig")); err != nil {
			return err
		}
	}
	if err := kubeconfig(c, "admin", c.Kubeconfig()); err != nil {
		return err
	}
	return writeFiles(c)
}

func subjects(c config.Config) []pki.Subject {
	loopback := netip.MustParseAddr("127.0.0.1")
	node := []netip.Addr{loopback, c.NodeAddress()}
	client := func(file, name string, groups ...string) pki.Subject {
		return pki.Subject{File: file, Authority: "ca", CommonName: name, Organization: groups}
	}
	return []pki.Subject{
		{File: "apiserver", Authority: "ca", CommonName: "kube-apiserver", Addresses: append(node, c.APIServiceAddress()),
			Names: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"}},
		{File: "kubelet", Authority: "ca", CommonName: "system:node:" + NodeName, Organization: []string{"system:nodes"}, Addresses: node, Names: []string{NodeName}},
		client("admin", "admin", "system:masters"),
		client("apiserver-kubelet", "apiserver-kubelet", "system:masters"),
		client("controller-manager", "system:kube-controller-manager"),
		client("scheduler", "system:kube-scheduler"),
		client("proxy", "system:kube-proxy"),
		client("netpol", "berth:netpol", "system:masters"),
		client("storage", "berth:storage", "system:masters"),
		{File: "etcd", Authority: "etcd-ca", CommonName: "etcd", Addresses: []netip.Addr{loopback}, Names: []string{"localhost"}},
		{File: "etcd-client", Authority: "etcd-ca", CommonName: "kube-apiserver"},
		{File: "front-proxy", Authority: "front-ca", CommonName: "front-proxy"},
	}
}

func kubeconfig(c config.Config, user, path string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: berth, cluster: {server: "https://%s:6443", certificate-authority: %q}}]
users: [{name: %[3]s, user: {client-certificate: %[4]q, client-key: %[5]q}}]
contexts: [{name: berth, context: {cluster: berth, user: %[3]s}}]
current-context: berth
`, c.NodeAddress(), c.Path("pki", "ca.crt"), user, c.Path("pki", user+".crt"), c.Path("pki", user+".key"))
	return os.WriteFile(path, []byte(text), 0o600)
}

func writeFiles(c config.Config) error {
	apparmor, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	noAppArmor := err != nil || strings.TrimSpace(string(apparmor)) != "Y"
	registry := fmt.Sprintf("http://%s:5000", c.NodeAddress())
	podRange := netip.PrefixFrom(c.Pods.Masked().Addr(), 24)
	files := map[string]string{
		"etc/resolv.conf":    Resolvers(),
		"etc/host-addresses": hostAddresses(c),
		"etc/cni/10-berth.conflist": fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"plugins":[
 {"type":"ptp","ipMasq":true,"mtu":1500,"ipam":{"type":"host-local","ranges":[[{"subnet":"%s"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":%q}},
 {"type":"berth-policy","socket":%q}]}
`, c.Network(), podRange, c.Path("run", "cni-ipam"), c.Path("run", "netpol.sock")),
		"etc/certs.d/" + Registry + "/hosts.toml": fmt.Sprintf("server = %[1]q\n[host.%[1]q]\n  capabilities = [\"pull\", \"resolve\"]\n", registry),
		"etc/registry.yaml": fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: "%s:5000"}
`, c.Path("registry"), c.NodeAddress()),
		"etc/containerd.toml": fmt.Sprintf(`version = 3
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[ttrpc]
  address = "%[4]s"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = %[5]t
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    use_internal_loopback = true
    bin_dirs = [%[6]q]
    conf_dir = %[7]q
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = %[8]q
      SystemdCgroup = false
      Root = %[11]q
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %[9]q
[plugins."io.containerd.cri.v1.images".registry]
  config_path = %[10]q
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = %[12]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[13]q
[plugins."io.containerd.nri.v1.nri"]
  disable = true
`, c.Path("containerd"), c.Path("run", "containerd"), c.ContainerdSocket(), c.ContainerdSocket()+".ttrpc", noAppArmor, c.Bin,
			c.Path("etc", "cni"), c.Program("runc"), addons.PauseReference, c.Path("etc", "certs.d"),
			// Their places would otherwise be the same for every runtime of the machine.
			filepath.Join(c.Runtime(), "runc"), filepath.Join(c.Runtime(), "s"), c.Path("containerd", "opt")),
		"etc/kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[2]q}}
authorization: {mode: Webhook}
tlsCertFile: %[3]q
tlsPrivateKeyFile: %[4]q
cgroupDriver: cgroupfs
cgroupRoot: /%[5]s
podLogsDir: %[6]q
failSwapOn: false
failCgroupV1: false
oomScoreAdj: 0
podPidsLimit: 2048
serializeImagePulls: false
clusterDNS: [%[7]s]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://%[8]s
resolvConf: %[9]q
enforceNodeAllocatable: [none]
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
maxPods: 250
healthzPort: 0
volumePluginDir: %[10]q
`, c.NodeAddress(), c.Path("pki", "ca.crt"), c.Path("pki", "kubelet.crt"), c.Path("pki", "kubelet.key"), c.Cgroup(), c.Path("podlogs"),
			c.DNSAddress(), c.ContainerdSocket(), c.Path("etc", "resolv.conf"), c.Path("kubelet", "volume-plugins")),
		"etc/proxy.yaml": fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
mode: iptables
hostnameOverride: %s
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, c.Path("etc", "proxy.kubeconfig"), c.Pods, NodeName),
	}
	for name, text := range files {
		if err := os.WriteFile(c.Path(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

// Resolvers are the host's name servers that can be reached from another network namespace.
func Resolvers() string {
	for _, path := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var kept []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "nameserver" {
				continue
			}
			if address, err := netip.ParseAddr(fields[1]); err == nil && !address.IsLoopback() {
				kept = append(kept, "nameserver "+fields[1]+"\n")
			}
		}
		if len(kept) > 0 {
			return strings.Join(kept, "")
		}
	}
	return ""
}

// hostAddresses are all that the host answers under: policies treat them like the node's own.
func hostAddresses(c config.Config) string {
	lines := []string{c.HostAddress().String()}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return lines[0] + "\n"
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
			lines = append(lines, prefix.Addr().String())
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
