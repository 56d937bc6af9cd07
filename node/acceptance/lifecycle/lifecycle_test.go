package lifecycle

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
)

// One node's life, in the order in which it happens. A part that fails ends it: the rest would only fail after it.
func TestLife(t *testing.T) {
	n := newNode(t)
	n.addForeign()
	before := n.rules()
	part := func(name string, live func(*node)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { live(n.in(t)) }) {
			t.FailNow()
		}
	}
	var old *pod
	part("a cold start reaches Ready", func(p *node) {
		t.Logf("cold up: %.1f s", p.does("up").Seconds())
		p.connect()
		n.cluster = p.cluster
		// A new cluster has no reports that could be old.
		must(p, p.isReady())
	})
	part("up changes nothing of a node that runs", (*node).upChangesNothing)
	part("a disk is as large as it was ordered", func(p *node) {
		old = p.start("old", "1Gi").ready()
		old.keepsALetter()
		old.fillsUp(1 << 30)
	})
	part("whatever is killed comes back", func(p *node) { p.healsEachChild(old.in(p)) })
	part("a killed supervisor leaves nothing in the way", func(p *node) { p.survivesItsSupervisor(old.in(p)) })
	part("a stop keeps the data and renews certificates", func(p *node) { p.stopsAndStarts(old.in(p)) })
	part("reset leaves nothing", func(p *node) {
		containers := p.containers()
		p.does("reset", "--yes")
		p.leavesNothing(before, containers)
	})
}

// Resetting needs no node that stopped in order.
func TestResetAfterAKill(t *testing.T) {
	n := newNode(t)
	n.addForeign()
	before := n.rules()
	n.startsOnce()
	n.connect()
	n.start("old", "64Mi").ready().keepsALetter()
	containers := n.containers()
	n.kill(n.supervisor())
	n.does("reset", "--yes")
	n.leavesNothing(before, containers)
	// And once more, with nothing there.
	n.does("reset", "--yes")
}

// up again is a question, not an order.
func (n *node) upChangesNothing() {
	pids := func() map[string]int {
		found := map[string]int{"supervisor": n.supervisor()}
		for name, child := range n.children() {
			found[name] = child.PID
		}
		return found
	}
	before := pids()
	n.does("up")
	if after := pids(); !maps.Equal(before, after) {
		n.Errorf("process ids before %v, after %v", before, after)
	}
	n.does("status")
}

// startsOnce: of two that say up at the same time one starts the node, and both are told when it is ready.
func (n *node) startsOnce() {
	second := make(chan error)
	go func() {
		_, err := n.try("up")
		second <- err
	}()
	n.does("up")
	must(n, <-second)
	if found := n.supervisors(); len(found) != 1 {
		n.Fatalf("the node has %d supervisors: %v", len(found), found)
	}
}

const letter = "written before the storm"

// keepsALetter writes what is to be read later.
func (p *pod) keepsALetter() {
	p.n.Helper()
	p.does("write", "/data/letter", letter)
	p.stillHasIt()
}

func (p *pod) stillHasIt() {
	p.n.Helper()
	if got := p.does("read", "/data/letter"); got != letter {
		p.n.Errorf("pod %s read %q, it had written %q", p.name, got, letter)
	}
}

// fillsUp shows that the disk takes most of its size, as the rest is the file system's own, and not a byte more.
func (p *pod) fillsUp(size int) {
	p.n.Helper()
	var written int
	var full bool
	said := p.does("fill", "/data/ballast", strconv.Itoa(size))
	if _, err := fmt.Sscan(said, &written, &full); err != nil {
		p.n.Fatalf("the probe said %q: %v", said, err)
	}
	p.n.Logf("a disk of %d bytes took %d", size, written)
	if !full || written > size || written < size/10*9 {
		p.n.Errorf("a disk of %d bytes took %d, and was full: %v", size, written, full)
	}
}
