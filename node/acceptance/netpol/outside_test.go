package netpol

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

const (
	outsideAddr = "198.51.100.2"
	outsideGate = "198.51.100.1"
)

// outside is the world beyond the node's machine: a network namespace with one address, which echoes on TCP and UDP port 8080.
type outside struct {
	t  *testing.T
	ns netns.NsHandle
}

func newOutside(t *testing.T, c *cluster, pods ...*pod) *outside {
	t.Helper()
	o := &outside{t: t}
	o.inside(nil, true)
	t.Cleanup(func() {
		must(t, o.ns.Close())
		// With its last holder the namespace goes, and the link with it.
	})
	short := fmt.Sprintf("np%d", os.Getpid())
	sh(t, "ip link add %s type veth peer name %sp", short, short)
	t.Cleanup(func() { sh(t, "ip link del %s", short) })
	// The namespace has no name; its thread's file does.
	sh(t, "ip link set %sp netns /proc/%d/fd/%d", short, os.Getpid(), int(o.ns))
	sh(t, "ip addr add %s/30 dev %s", outsideGate, short)
	sh(t, "ip link set %s up", short)
	o.inside(func() {
		sh(t, "ip link set lo up")
		sh(t, "ip addr add %s/30 dev %sp", outsideAddr, short)
		sh(t, "ip link set %sp up", short)
		sh(t, "ip route add default via %s", outsideGate)
	}, false)
	if forward, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err != nil || strings.TrimSpace(string(forward)) != "1" {
		t.Fatalf("the machine does not forward packets (net.ipv4.ip_forward is %q, %v); the node needs it", forward, err)
	}
	// The machine must send packets for pods over the node's link; a node that does not say so gets a route for the test.
	for _, p := range pods {
		if route := output(t, "ip route get %s", p.ip); !strings.Contains(route, "via "+c.node) {
			sh(t, "ip route add %s/32 via %s", p.ip, c.node)
			t.Cleanup(func() { sh(t, "ip route del %s/32 via %s", p.ip, c.node) })
		}
	}
	o.serve()
	return o
}

// inside runs something on a thread that lives in the outside; `first` makes the namespace.
func (o *outside) inside(do func(), first bool) {
	o.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		var err error
		if first {
			o.ns, err = netns.New()
		} else {
			err = netns.Set(o.ns)
		}
		if err == nil && do != nil {
			do()
		}
		done <- err
	}()
	must(o.t, <-done)
}

func (o *outside) serve() {
	o.t.Helper()
	o.inside(func() {
		l, err := net.Listen("tcp4", outsideAddr+":8080")
		if err != nil {
			o.t.Error(err)
			return
		}
		o.t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					_, _ = fmt.Fprintln(c, "hello") // who hung up already does not count
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}()
			}
		}()
		u, err := net.ListenPacket("udp4", outsideAddr+":8080")
		if err != nil {
			o.t.Error(err)
			return
		}
		o.t.Cleanup(func() { _ = u.Close() })
		go func() {
			buf := make([]byte, 64)
			for {
				n, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = u.WriteTo(buf[:n], from)
			}
		}()
	}, false)
}

// try connects from outside and waits for the greeting.
func (o *outside) try(host, port string) string {
	o.t.Helper()
	verdict := ""
	o.inside(func() {
		c, err := net.DialTimeout("tcp4", net.JoinHostPort(host, port), 200*time.Millisecond)
		if err == nil {
			err = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			if err == nil {
				_, err = c.Read(make([]byte, 16))
			}
			_ = c.Close()
		}
		switch timeout, is := err.(net.Error); {
		case err == nil:
			verdict = "ok"
		case is && timeout.Timeout():
			verdict = "timeout"
		default:
			verdict = err.Error()
		}
	}, false)
	return verdict
}

func sh(t *testing.T, format string, args ...any) {
	t.Helper()
	output(t, format, args...)
}

func output(t *testing.T, format string, args ...any) string {
	t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
	return string(out)
}
