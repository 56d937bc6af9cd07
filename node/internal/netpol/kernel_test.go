package netpol

import (
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
	t.Logf("%d packets passed, %d did not", allowed, denied)
	if allowed == 0 || denied == 0 {
		t.Fatal("the worlds prove nothing")
	}
}
