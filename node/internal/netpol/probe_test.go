package netpol

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// probes sends real packets between all places of a lab: a UDP datagram and a TCP handshake for each source, destination and port.
type probes struct {
	lab       *lab
	datagrams []listener
	streams   []listener
}

type listener struct {
	fd   int
	at   netip.Addr // one address of the place it listens at
	port uint16
}

func (l *lab) probes() *probes {
	l.t.Helper()
	p := &probes{lab: l}
	heard := map[netns.NsHandle]bool{}
	for addr, home := range l.homes {
		if heard[home] {
			continue
		}
		heard[home] = true
		l.in(home, func() {
			for _, port := range testPorts {
				p.datagrams = append(p.datagrams, listener{l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(netip.IPv4Unspecified(), port)), addr, port})
				s := listener{l.socket(unix.SOCK_STREAM, netip.AddrPortFrom(netip.IPv4Unspecified(), port)), addr, port}
				must(l.t, unix.Listen(s.fd, 1024))
				p.streams = append(p.streams, s)
			}
		})
	}
	return p
}

// socket opens a bound, non-blocking socket in the thread's namespace; port 0 takes any.
func (l *lab) socket(kind int, at netip.AddrPort) int {
	l.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(l.t, err)
	must(l.t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20))
	must(l.t, unix.Bind(fd, sockaddr(at)))
	return fd
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// all gives the packets, of the two protocols, that got through. Each is a new flow.
func (p *probes) all() map[Packet]bool {
	t := p.lab.t
	t.Helper()
	p.lab.enter(p.lab.node)
	p.lab.forgetFlows()
	passed := map[Packet]bool{}
	shakes := map[Packet]int{}
	for src, home := range p.lab.homes {
		p.lab.enter(home)
		for dst, other := range p.lab.homes {
			if home == other {
				continue
			}
			for _, port := range testPorts {
				to := sockaddr(netip.AddrPortFrom(dst, port))
				udp := p.lab.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(src, 0))
				name, err := json.Marshal(Packet{src, dst, UDP, port})
				must(t, err)
				must(t, unix.Sendto(udp, name, 0, to))
				must(t, unix.Close(udp))
				tcp := p.lab.socket(unix.SOCK_STREAM, netip.AddrPortFrom(src, 0))
				if err := unix.Connect(tcp, to); !errors.Is(err, unix.EINPROGRESS) {
					must(t, err)
				}
				shakes[Packet{src, dst, TCP, port}] = tcp
			}
		}
	}
	p.receive(passed)
	for packet, fd := range shakes {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		const established = 1
		if info.State == established {
			passed[packet] = true
		}
		must(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		must(t, unix.Close(fd))
	}
	for _, s := range p.streams {
		for {
			fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			must(t, err)
			must(t, unix.Close(fd))
		}
	}
	return passed
}

// receive reads every datagram up to the node's own, which always passes and was sent last.
func (p *probes) receive(passed map[Packet]bool) {
	t := p.lab.t
	t.Helper()
	p.lab.enter(p.lab.node)
	fence := p.lab.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	last := []byte("last")
	for _, l := range p.datagrams {
		must(t, unix.Sendto(fence, last, 0, sockaddr(netip.AddrPortFrom(l.at, l.port))))
	}
	must(t, unix.Close(fence))
	buf := make([]byte, 2048)
	for _, l := range p.datagrams {
		for deadline := time.Now().Add(5 * time.Second); ; {
			n, _, err := unix.Recvfrom(l.fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) {
				if time.Now().After(deadline) {
					t.Fatalf("the node's own datagram never arrived at %s port %d", l.at, l.port)
				}
				continue
			}
			must(t, err)
			if string(buf[:n]) == string(last) {
				break
			}
			var packet Packet
			must(t, json.Unmarshal(buf[:n], &packet))
			passed[packet] = true
		}
	}
}

func (l *lab) forgetFlows() {
	l.t.Helper()
	conn, err := conntrack.Dial(nil)
	must(l.t, err)
	must(l.t, conn.Flush())
	must(l.t, conn.Close())
}

func flows(l *lab) int {
	l.t.Helper()
	conn, err := conntrack.Dial(nil)
	must(l.t, err)
	all, err := conn.Dump(nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	must(l.t, conn.Close())
	return len(all)
}
