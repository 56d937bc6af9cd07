package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// children that every node has. Any other that the supervisor tells of is killed as well.
var children = []string{"etcd", "apiserver", "controller-manager", "scheduler", "containerd", "kubelet", "proxy", "registry", "netpol", "storage"}

// healsEachChild kills one after the other. Nothing that runs in pods may notice, and everything new must work soon.
func (n *node) healsEachChild(old *pod) {
	names := slices.Sorted(maps.Keys(n.children()))
	for _, name := range children {
		if !slices.Contains(names, name) {
			n.Errorf("the supervisor does not tell of %s: %v", name, names)
		}
	}
	calm := old.meets("calm", time.Now())
	n.Logf("%-20s %s", "nothing killed", calm)
	calm.remove()
	for _, name := range names {
		n.Run(name, func(t *testing.T) {
			n := n.in(t)
			n.heals(name, old.in(n))
		})
	}
}

func (n *node) heals(name string, old *pod) {
	life, before := old.life(), n.children()
	began := time.Now()
	n.kill(before[name].PID)
	n.await(name+" to run again", soon, func() error {
		if now := n.children()[name]; now.PID == 0 || now.PID == before[name].PID {
			return fmt.Errorf("its state is %+v", now)
		}
		return nil
	})
	back := time.Since(began)
	n.awaitAPIServer()
	late := old.meets("after-"+name, began)
	n.awaitReady()
	n.Logf("%-20s process back after %.1f s, %s", name, back.Seconds(), late)
	if now := old.life(); now != life {
		n.Errorf("the old pod's container was %s and is %s", life, now)
	}
	old.stillHasIt()
	for other, state := range n.children() {
		if other != name && state.PID != before[other].PID {
			n.Errorf("%s was not killed and has another process: %+v", other, state)
		}
	}
	late.remove()
}
