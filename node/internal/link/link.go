// Package link makes and removes the node's network namespace and the veth pair that joins it to the host. Removing the namespace removes
// every interface and rule that lives inside it.
package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"berth.dev/node/internal/config"
)

// NamespacePath is the file that stands for the namespace.
func NamespacePath(c config.Config) string { return "/run/netns/" + c.Namespace() }

func outside(c config.Config) string { return "bt-" + c.Instance }

func table(c config.Config) string { return "berth_" + c.Instance }

// Up makes what is missing; it may be repeated.
func Up(c config.Config) error {
	if _, err := os.Stat(NamespacePath(c)); errors.Is(err, fs.ErrNotExist) {
		if err := run("ip", "netns", "add", c.Namespace()); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := os.Stat("/sys/class/net/" + outside(c)); errors.Is(err, fs.ErrNotExist) {
		if err := run("ip", "link", "add", outside(c), "type", "veth", "peer", "name", "eth0", "netns", c.Namespace()); err != nil {
			return err
		}
	}
	host, node := c.HostAddress().String(), c.NodeAddress().String()
	for _, command := range [][]string{
		{"ip", "address", "replace", host + "/30", "dev", outside(c)},
		{"ip", "link", "set", outside(c), "up"},
		{"ip", "-n", c.Namespace(), "address", "replace", node + "/30", "dev", "eth0"},
		{"ip", "-n", c.Namespace(), "link", "set", "eth0", "up"},
		{"ip", "-n", c.Namespace(), "link", "set", "lo", "up"},
		{"ip", "-n", c.Namespace(), "route", "replace", "default", "via", host},
		{"ip", "route", "replace", c.Pods.String(), "via", node, "dev", outside(c)},
		{"nsenter", "--net=" + NamespacePath(c), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"},
	} {
		if err := run(command[0], command[1:]...); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o644); err != nil {
		return fmt.Errorf("turning forwarding on: %w", err)
	}
	return nft(rules(c))
}

// rules let the node out under the host's address. Nothing from outside is masqueraded onto the link: it would look like the host itself,
// which policies always let in.
func rules(c config.Config) string {
	return fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
	chain postrouting {
		type nat hook postrouting priority 100
		ip saddr %[2]s oifname != "%[3]s" masquerade
	}
	chain forward {
		type filter hook forward priority 0
		iifname "%[3]s" accept
		oifname "%[3]s" accept
	}
}
`, table(c), c.Link, outside(c))
}

// Down removes all of it; what is not there is no error.
func Down(c config.Config) error {
	var problems []error
	problems = append(problems, nft(fmt.Sprintf("table ip %[1]s\ndelete table ip %[1]s\n", table(c))))
	if _, err := os.Stat("/sys/class/net/" + outside(c)); err == nil {
		problems = append(problems, run("ip", "link", "delete", outside(c)))
	}
	if _, err := os.Stat(NamespacePath(c)); err == nil {
		problems = append(problems, run("ip", "netns", "delete", c.Namespace()))
	}
	return errors.Join(problems...)
}

func nft(text string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}
	return nil
}

func run(program string, args ...string) error {
	if output, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
