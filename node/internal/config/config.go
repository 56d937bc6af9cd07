// Package config says where one embedded node lives: its data folder, its name, its addresses. They are fixed at the first up and kept in
// the data folder, so that later commands need only BERTH_DATA.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
)

// Config of one node.
type Config struct {
	Data     string       `json:"-"`
	Bin      string       `json:"-"`
	Instance string       `json:"instance"`
	Link     netip.Prefix `json:"link"`
	Pods     netip.Prefix `json:"pods"`
	Services netip.Prefix `json:"services"`
}

// Short: it becomes part of an interface's name, which has 15 characters.
var instanceName = regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`)

// Load reads the data folder's settings, or those of the environment at the first up.
func Load(getenv func(string) string) (Config, error) {
	or := func(name, otherwise string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return otherwise
	}
	executable, err := os.Executable()
	if err != nil {
		return Config{}, fmt.Errorf("finding this program: %w", err)
	}
	c := Config{Data: or("BERTH_DATA", "/var/lib/berth"), Bin: or("BERTH_NODE_BIN", filepath.Dir(executable))}
	if !filepath.IsAbs(c.Data) || filepath.Clean(c.Data) != c.Data || c.Data == "/" {
		return Config{}, fmt.Errorf("BERTH_DATA: %q is not a clean absolute path", c.Data)
	}
	text, err := os.ReadFile(c.file())
	if err == nil {
		if err := json.Unmarshal(text, &c); err != nil {
			return Config{}, fmt.Errorf("%s: %w", c.file(), err)
		}
		return c, c.check()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Config{}, err
	}
	c.Instance = or("BERTH_NODE_INSTANCE", "node")
	for _, setting := range []struct {
		name, otherwise string
		into            *netip.Prefix
	}{
		{"BERTH_NODE_LINK", "10.41.0.0/30", &c.Link},
		{"BERTH_POD_CIDR", "10.42.0.0/16", &c.Pods},
		{"BERTH_SERVICE_CIDR", "10.43.0.0/16", &c.Services},
	} {
		if *setting.into, err = netip.ParsePrefix(or(setting.name, setting.otherwise)); err != nil {
			return Config{}, fmt.Errorf("%s: %w", setting.name, err)
		}
	}
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case !instanceName.MatchString(c.Instance):
		return errors.New("BERTH_NODE_INSTANCE is 1 to 10 of a-z and 0-9, starting with a letter")
	case c.Link.Bits() != 30 || !c.Link.Addr().Is4() || c.Link.Masked() != c.Link:
		return errors.New("BERTH_NODE_LINK is an IPv4 range with 30 bits, such as 10.41.0.0/30")
	case !c.Pods.Addr().Is4() || c.Pods.Bits() > 24:
		return errors.New("BERTH_POD_CIDR is an IPv4 range of at most 24 bits, such as 10.42.0.0/16")
	case !c.Services.Addr().Is4() || c.Services.Bits() > 24:
		return errors.New("BERTH_SERVICE_CIDR is an IPv4 range of at most 24 bits, such as 10.43.0.0/16")
	}
	return nil
}

// Save keeps the settings for later commands.
func (c Config) Save() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.file(), append(text, '\n'), 0o600)
}

func (c Config) file() string { return filepath.Join(c.Data, "node.json") }

// Path below the data folder.
func (c Config) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Data}, parts...)...)
}

// Program is a binary that was built with this one.
func (c Config) Program(name string) string { return filepath.Join(c.Bin, name) }

// HostAddress is the host's end of the link.
func (c Config) HostAddress() netip.Addr { return c.Link.Addr().Next() }

// NodeAddress is the node's end of the link, and its only address.
func (c Config) NodeAddress() netip.Addr { return c.HostAddress().Next() }

// DNSAddress is the tenth of the services, as everywhere.
func (c Config) DNSAddress() netip.Addr { return nth(c.Services, 10) }

// APIServiceAddress is the first of the services, as everywhere.
func (c Config) APIServiceAddress() netip.Addr { return nth(c.Services, 1) }

func nth(prefix netip.Prefix, n int) netip.Addr {
	address := prefix.Masked().Addr()
	for range n {
		address = address.Next()
	}
	return address
}

// Namespace is the network namespace that the whole node lives in.
func (c Config) Namespace() string { return "berth-" + c.Instance }

// Cgroup is the parent of all pods' cgroups.
func (c Config) Cgroup() string { return "berth-" + c.Instance }

// Runtime is for what is only true while the node runs and is named by paths that must be short: a socket's has at most 107 characters,
// and the runtime's shims end theirs with 65 of their own.
func (c Config) Runtime() string { return "/run/berth-" + c.Instance }

// Network is the pods' network as CNI calls it. Its library keeps results under that name in one place for the whole machine.
func (c Config) Network() string { return "berth-" + c.Instance }

// Kubeconfig of the administrator, usable from the host.
func (c Config) Kubeconfig() string { return c.Path("kubeconfig") }

// ContainerdSocket is where the runtime answers.
func (c Config) ContainerdSocket() string { return c.Path("run", "containerd.sock") }
