package netpol

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lab is a node with routed pods and a machine beyond it, of real network namespaces, joined as CNI ptp does. The machine also has the
// addresses that play the outside world. The test's thread is pinned to one CPU: packets of a veth pair are then delivered in the order
// they were sent, so a packet known to be allowed, sent last, tells that all before it have arrived or been dropped.
type lab struct {
	t     testing.TB
	node  netns.NsHandle
	homes map[netip.Addr]netns.NsHandle // where each address lives
	wall  *firewall

	sweeper *sweeper
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace with it
	var one unix.CPUSet
	one.Set(0)
	must(t, unix.SchedSetaffinity(0, &one))
	l := &lab{t: t, homes: map[netip.Addr]netns.NsHandle{}, sweeper: newSweeper(slog.New(slog.DiscardHandler))}
	start, err := netns.Get()
	must(t, err)
	l.node = l.space()
	t.Cleanup(func() { must(t, netns.Set(start)) })
	l.forward()
	machine := l.space()
	l.link(machine, "uplink", "10.41.0.2/30", "10.41.0.1/30")
	l.in(machine, func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		for _, a := range testOutside {
			l.address(lo, a.String()+"/32")
			l.homes[a] = machine
		}
		l.route(testPodRange.String(), "10.41.0.2")
	})
	l.in(l.node, func() { l.route("0.0.0.0/0", "10.41.0.1") })
	l.homes[netip.MustParseAddr("10.41.0.1")] = machine
	l.homes[netip.MustParseAddr("10.41.0.2")] = l.node
	l.homes[netip.MustParseAddr("10.42.0.1")] = l.node
	for i, a := range testPods {
		pod := l.space()
		l.homes[a] = pod
		l.link(pod, fmt.Sprint("pod", i), "10.42.0.1/32", a.String()+"/32")
		l.in(l.node, func() {
			veth, err := netlink.LinkByName(fmt.Sprint("pod", i))
			must(t, err)
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: veth.Attrs().Index, Dst: prefix(t, a.String()+"/32"), Scope: netlink.SCOPE_LINK}))
		})
		l.in(pod, func() {
			eth, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: prefix(t, "10.42.0.1/32"), Scope: netlink.SCOPE_LINK}))
			l.route("0.0.0.0/0", "10.42.0.1")
		})
	}
	l.enter(l.node)
	l.wall, err = openFirewall(testPodRange)
	must(t, err)
	return l
}

// program makes the kernel follow the model, as the controller does.
func (l *lab) program(s Snapshot) *Model {
	l.t.Helper()
	l.enter(l.node)
	m := Compile(s)
	_, err := l.wall.apply(context.Background(), m)
	must(l.t, err)
	addrs, all := affected(l.sweeper.model.Swap(m), m)
	must(l.t, l.sweeper.sweep(addrs, all))
	return m
}

func (l *lab) space() netns.NsHandle {
	l.t.Helper()
	ns, err := netns.New()
	must(l.t, err)
	l.t.Cleanup(func() { must(l.t, ns.Close()) })
	lo, err := netlink.LinkByName("lo")
	must(l.t, err)
	must(l.t, netlink.LinkSetUp(lo))
	return ns
}

// link joins a namespace's eth0 to an interface of the node.
func (l *lab) link(to netns.NsHandle, name, nodeSide, farSide string) {
	l.t.Helper()
	l.in(l.node, func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		must(l.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(to)}))
		near, err := netlink.LinkByName(name)
		must(l.t, err)
		l.address(near, nodeSide)
		must(l.t, netlink.LinkSetUp(near))
	})
	l.in(to, func() {
		far, err := netlink.LinkByName("eth0")
		must(l.t, err)
		l.address(far, farSide)
		must(l.t, netlink.LinkSetUp(far))
	})
}

func (l *lab) address(link netlink.Link, cidr string) {
	l.t.Helper()
	must(l.t, netlink.AddrAdd(link, &netlink.Addr{IPNet: prefix(l.t, cidr)}))
}

func (l *lab) route(cidr, via string) {
	l.t.Helper()
	must(l.t, netlink.RouteAdd(&netlink.Route{Dst: prefix(l.t, cidr), Gw: net.ParseIP(via)}))
}

func (l *lab) forward() {
	l.t.Helper()
	must(l.t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
}

func (l *lab) in(ns netns.NsHandle, do func()) {
	l.t.Helper()
	before, err := netns.Get()
	must(l.t, err)
	l.enter(ns)
	do()
	l.enter(before)
	must(l.t, before.Close())
}

func (l *lab) enter(ns netns.NsHandle) {
	l.t.Helper()
	must(l.t, netns.Set(ns))
}

func prefix(t testing.TB, cidr string) *net.IPNet {
	t.Helper()
	ip, n, err := net.ParseCIDR(cidr)
	must(t, err)
	n.IP = ip
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
