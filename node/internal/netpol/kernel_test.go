package netpol

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Random worlds, one after the other, in the kernel: every packet fares as the API's text says. Each world is reached from the one
// before by the smallest change, so the changes are tested too.
func TestKernelEqualsLiteral(t *testing.T) {
	l := newLab(t)
	p := l.probes()
	allowed, denied := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		world := drawWorld(rt)
		l.program(world)
		passed := p.all()
		for src, home := range l.homes {
			for dst, other := range l.homes {
				if home == other {
					continue
				}
				for _, proto := range []Protocol{TCP, UDP} {
					for _, port := range testPorts {
						packet := Packet{src, dst, proto, port}
						want := literal(world, packet)
						if passed[packet] != want {
							rt.Fatalf("%+v: the kernel let it pass: %v, the text says %v\n%s", packet, passed[packet], want, describe(world))
						}
						if want {
							allowed++
						} else {
							denied++
						}
					}
				}
			}
		}
	})
	// After all those changes the table is what it would be if written anew.
	last := drawnWorlds.Example(1)
	l.program(last)
	changed := l.listing()
	l.wall.have = nil
	l.program(last)
	if anew := l.listing(); changed != anew {
		t.Errorf("the changed table:\n%s\nis not the one written anew:\n%s", changed, anew)
	}
	t.Logf("%d packets passed, %d did not", allowed, denied)
	if allowed == 0 || denied == 0 {
		t.Fatal("the worlds prove nothing")
	}
}

var (
	drawnWorlds = rapid.Custom(drawWorld)
	counts      = regexp.MustCompile(`packets \d+ bytes \d+`)
)

// listing gives what the kernel holds, in an order that does not depend on history.
func (l *lab) listing() string {
	l.t.Helper()
	l.enter(l.node)
	out, err := exec.Command("nft", "list", "table", "inet", tableName).CombinedOutput()
	must(l.t, err)
	objects := strings.Split(counts.ReplaceAllString(string(out), ""), "\n\n")
	slices.Sort(objects)
	return strings.Join(objects, "\n\n")
}
