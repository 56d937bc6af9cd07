package netpol

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// twoPods is a world of a client and a server, each in its own namespace, with the given policies.
func twoPods(policies ...*netv1.NetworkPolicy) Snapshot {
	s := Snapshot{PodRange: testPodRange, Node: testNode, Policies: policies}
	for i, name := range []string{"client", "server"} {
		s.Namespaces = append(s.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		s.Endpoints = append(s.Endpoints, Endpoint{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: name}}, testPods[i]})
	}
	return s
}

func denyAll(namespace string, types ...netv1.PolicyType) *netv1.NetworkPolicy {
	return &netv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "deny", Namespace: namespace}, Spec: netv1.NetworkPolicySpec{PolicyTypes: types},
	}
}

// connect opens a TCP connection from the client pod to the server's port 8080 and gives both ends.
func (l *lab) connect() (client, server int) {
	l.t.Helper()
	var listening int
	l.in(l.homes[testPods[1]], func() {
		listening = l.socket(unix.SOCK_STREAM, netip.AddrPortFrom(testPods[1], 8080))
		must(l.t, unix.Listen(listening, 1))
	})
	l.in(l.homes[testPods[0]], func() {
		client = l.socket(unix.SOCK_STREAM, netip.AddrPortFrom(testPods[0], 0))
		if err := unix.Connect(client, sockaddr(netip.AddrPortFrom(testPods[1], 8080))); !errors.Is(err, unix.EINPROGRESS) {
			must(l.t, err)
		}
	})
	await(l.t, "the connection", func() bool {
		var err error
		server, _, err = unix.Accept4(listening, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err == nil
	})
	must(l.t, unix.Close(listening))
	return client, server
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited 5 s in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// arrives says whether a byte written at one end comes out at the other. Delivery is synchronous in the lab; the wait is for the unlucky.
func (l *lab) arrives(from, to int) bool {
	l.t.Helper()
	_, err := unix.Write(from, []byte("x"))
	must(l.t, err)
	fds := []unix.PollFd{{Fd: int32(to), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 300)
	must(l.t, err)
	if n == 0 {
		return false
	}
	got, err := unix.Read(to, make([]byte, 16))
	must(l.t, err)
	return got > 0
}

// A policy that closes a flow ends its open connection in both directions, whichever end speaks first afterwards and whichever end it
// isolates; and nothing else ends.
func TestPolicyCutsOpenConnection(t *testing.T) {
	cuts := map[string]*netv1.NetworkPolicy{
		"server's ingress": denyAll("server", "Ingress"),
		"client's egress":  denyAll("client", "Egress"),
	}
	for name, policy := range cuts {
		for _, first := range []string{"client", "server"} {
			t.Run(name+", "+first+" speaks", func(t *testing.T) {
				l := newLab(t)
				l.program(twoPods())
				client, server := l.connect()
				if !l.arrives(client, server) || !l.arrives(server, client) {
					t.Fatal("the connection did not work before the policy")
				}
				l.program(twoPods(policy))
				if n := flows(l); n != 0 {
					t.Fatalf("%d conntrack entries are left", n)
				}
				ends := [][2]int{{client, server}, {server, client}}
				if first == "server" {
					ends[0], ends[1] = ends[1], ends[0]
				}
				for _, e := range ends {
					if l.arrives(e[0], e[1]) {
						t.Error("a byte came through a closed flow")
					}
				}
			})
		}
	}
	t.Run("an allowed connection lives on", func(t *testing.T) {
		l := newLab(t)
		l.program(twoPods())
		client, server := l.connect()
		// These isolate the other directions: replies are no new flows.
		l.program(twoPods(denyAll("server", "Egress"), denyAll("client", "Ingress")))
		if !l.arrives(client, server) || !l.arrives(server, client) {
			t.Fatal("a policy for other flows cut the connection")
		}
	})
}

// While the rules change under traffic no denied packet passes. A change for other pods loses no allowed one either; replacing the whole
// table, as a restarted controller does, may lose the few packets that are being judged at that very moment, and never lets one in.
func TestChangingLeavesNoGap(t *testing.T) {
	closed := func(others ...*netv1.NetworkPolicy) Snapshot {
		s := twoPods(append(others, denyAll("server", "Ingress"))...)
		s.Endpoints = append(s.Endpoints, Endpoint{
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bystander", Namespace: "elsewhere"}}, testPods[2],
		})
		return s
	}
	t.Run("replacing everything", func(t *testing.T) {
		l := newLab(t)
		l.program(closed())
		sent, lost := l.underTraffic(func(int) error { l.wall.have = nil; return l.applyElsewhere(closed()) })
		if lost*1000 > sent {
			t.Errorf("%d of %d allowed datagrams were lost", lost, sent)
		}
	})
	t.Run("changing another pod", func(t *testing.T) {
		l := newLab(t)
		l.program(closed())
		_, lost := l.underTraffic(func(i int) error {
			if i%2 == 0 {
				return l.applyElsewhere(closed(denyAll("elsewhere", "Ingress", "Egress")))
			}
			return l.applyElsewhere(closed())
		})
		if lost != 0 {
			t.Errorf("%d allowed datagrams were lost", lost)
		}
	})
}

// underTraffic makes thirty changes while the server pod sends to the client pod, which is allowed, and the client to the server, which is
// not. It fails the test when a denied datagram arrives and gives how many allowed ones were sent and lost.
func (l *lab) underTraffic(change func(int) error) (sent, lost int) {
	l.t.Helper()
	pair := func(from, to netip.Addr) (sender, receiver int) {
		l.in(l.homes[to], func() { receiver = l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(to, 53)) })
		l.in(l.homes[from], func() {
			sender = l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(from, 0))
			must(l.t, unix.Connect(sender, sockaddr(netip.AddrPortFrom(to, 53))))
		})
		return sender, receiver
	}
	denied, deniedTo := pair(testPods[0], testPods[1])
	allowed, allowedTo := pair(testPods[1], testPods[0])
	got, leaked := 0, 0
	for i := range 30 {
		finished := make(chan error, 1)
		go func() { finished <- change(i) }()
		for running := true; running; {
			select {
			case err := <-finished:
				must(l.t, err)
				running = false
			default:
				for _, fd := range []int{denied, allowed} {
					_, err := unix.Write(fd, []byte("x"))
					must(l.t, err)
				}
				sent++
				got += drain(allowedTo)
				leaked += drain(deniedTo)
			}
		}
	}
	l.t.Logf("%d datagrams each way, %d allowed ones lost", sent, sent-got)
	if leaked != 0 {
		l.t.Errorf("%d of %d denied datagrams came through", leaked, sent)
	}
	return sent, sent - got
}

// applyElsewhere programs the node from a thread of its own, which ends with the goroutine.
func (l *lab) applyElsewhere(s Snapshot) error {
	runtime.LockOSThread()
	if err := netns.Set(l.node); err != nil {
		return err
	}
	_, err := l.wall.apply(context.Background(), Compile(s))
	return err
}

func drain(fd int) int {
	for n := 0; ; n++ {
		if _, err := unix.Read(fd, make([]byte, 16)); err != nil {
			return n
		}
	}
}

// What a pod may never send: IPv6, link-local included, and packets from an address that is not its own.
func TestPodsCannotForge(t *testing.T) {
	l := newLab(t)
	l.program(twoPods())
	var heard, mute int
	l.in(l.homes[testPods[1]], func() { heard = l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(testPods[1], 53)) })
	l.in(l.homes[testPods[0]], func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		for _, forged := range []netip.Addr{testPods[2], netip.MustParseAddr("10.42.9.9"), netip.MustParseAddr("10.41.0.1"), testOutside[0]} {
			l.address(lo, forged.String()+"/32")
			mute = l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(forged, 0))
			must(t, unix.Sendto(mute, []byte(forged.String()), 0, sockaddr(netip.AddrPortFrom(testPods[1], 53))))
		}
		honest := l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(testPods[0], 0))
		must(t, unix.Sendto(honest, []byte("honest"), 0, sockaddr(netip.AddrPortFrom(testPods[1], 53))))
	})
	buf := make([]byte, 64)
	for {
		var n int
		await(t, "the honest datagram", func() bool { var err error; n, err = unix.Read(heard, buf); return err == nil })
		if string(buf[:n]) == "honest" {
			return
		}
		t.Errorf("a datagram forged as %s came through", buf[:n])
	}
}

func TestPodsCannotSpeakIPv6(t *testing.T) {
	l := newLab(t)
	l.program(twoPods())
	send := func(want bool) {
		var near, far netlink.Link
		var to []netlink.Addr
		var heard int
		l.in(l.node, func() {
			var err error
			near, err = netlink.LinkByName("pod0")
			must(t, err)
			await(t, "the node's link-local address", func() bool {
				to, err = netlink.AddrList(near, unix.AF_INET6)
				must(t, err)
				return len(to) > 0 && to[0].Flags&unix.IFA_F_TENTATIVE == 0
			})
			heard, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			must(t, unix.Bind(heard, &unix.SockaddrInet6{Port: 53}))
		})
		l.in(l.homes[testPods[0]], func() {
			var err error
			far, err = netlink.LinkByName("eth0")
			must(t, err)
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			await(t, "the pod's link-local address", func() bool {
				dst := unix.SockaddrInet6{Port: 53, ZoneId: uint32(far.Attrs().Index)}
				copy(dst.Addr[:], to[0].IP)
				return unix.Sendto(fd, []byte("x"), 0, &dst) == nil
			})
		})
		fds := []unix.PollFd{{Fd: int32(heard), Events: unix.POLLIN}}
		patience := 500
		if want {
			patience = 5000 // the neighbour search that was dropped before is repeated every second
		}
		n, err := unix.Poll(fds, patience)
		must(t, err)
		if (n > 0) != want {
			t.Errorf("an IPv6 datagram to the node arrived: %v, want %v", n > 0, want)
		}
		must(t, unix.Close(heard))
	}
	send(false)
	must(t, l.wall.remove(context.Background())) // without the rules it arrives: the test could see it
	send(true)
}
