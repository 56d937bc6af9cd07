package netpol

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The pod whose rules change is swept; a neighbour's very many flows are not even looked at.
func TestSweepLooksOnlyAtWhoChanged(t *testing.T) {
	l := newLab(t)
	crowd := twoPods()
	crowd.Endpoints = append(crowd.Endpoints, Endpoint{pod("crowd", ""), testPods[2]})
	l.program(crowd)
	const many = 20000
	l.in(l.homes[testPods[2]], func() {
		fd := l.socket(unix.SOCK_DGRAM, netip.AddrPortFrom(testPods[2], 0))
		for port := uint16(1); port <= many; port++ {
			must(t, unix.Sendto(fd, []byte("x"), 0, sockaddr(netip.AddrPortFrom(testOutside[0], port))))
		}
	})
	client, server := l.connect()
	l.enter(l.node)
	if n := flows(l); n < many {
		t.Fatalf("only %d flows are tracked", n)
	}
	for addr, want := range map[netip.Addr]int{testPods[0]: 1, testPods[1]: 1, testPods[2]: many} {
		got, err := flowsOf(addr)
		must(t, err)
		if len(got) < want || want == 1 && len(got) != 1 {
			t.Errorf("%d flows of %s are listed, want %d", len(got), addr, want)
		}
	}
	crowd.Policies = append(crowd.Policies, denyAll("server", "Ingress"))
	began := time.Now()
	l.program(crowd)
	t.Logf("the change and its sweep took %s beside %d flows", time.Since(began), many)
	if l.arrives(client, server) || l.arrives(server, client) {
		t.Error("the connection lives on")
	}
	l.enter(l.node)
	if n := flows(l); n < many {
		t.Errorf("the sweep ended a neighbour's flows: %d are left", n)
	}
	must(t, forget(testPods[2]))
	if n := flows(l); n != 0 {
		t.Errorf("%d flows are left of an address that changed hands", n)
	}
}
