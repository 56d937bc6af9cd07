package netpol

import (
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ti-mo/conntrack"
)

// How a sweep is bounded: beyond so many addresses one list of everything is cheaper, and so many sweeps run at once, so that a pod with
// very many flows delays only its own.
const (
	maxAddresses = 64
	maxSweeps    = 4
)

// sweeper ends the flows that a change of the rules has closed, beside the loop that makes the changes. Its truth is the newest model:
// a sweep that was overtaken decides by the later rules.
type sweeper struct {
	log     *slog.Logger
	model   atomic.Pointer[Model]
	running chan struct{}
}

func newSweeper(log *slog.Logger) *sweeper {
	return &sweeper{log: log, running: make(chan struct{}, maxSweeps)}
}

// follow sweeps after what the model has changed. It does not wait.
func (s *sweeper) follow(ctx context.Context, m *Model) {
	old := s.model.Swap(m)
	addrs, all := affected(old, m)
	if !all && len(addrs) == 0 {
		return
	}
	go func() {
		for {
			select {
			case s.running <- struct{}{}:
			case <-ctx.Done():
				return
			}
			err := s.sweep(addrs, all)
			<-s.running
			if err == nil || ctx.Err() != nil {
				return
			}
			s.log.Error("ending flows that the policies closed; trying again", "error", err)
			select {
			case <-time.After(retryDelay):
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (s *sweeper) sweep(addrs []netip.Addr, all bool) error {
	started := time.Now()
	var flows []conntrack.Flow
	var err error
	if all {
		if flows, err = allFlows(); err != nil {
			return err
		}
	}
	for _, a := range addrs {
		some, err := flowsOf(a)
		if err != nil {
			return err
		}
		flows = append(flows, some...)
	}
	ended, err := closeFlows(flows, s.model.Load)
	if ended > 0 {
		s.log.Info("flows ended", "ended", ended, "looked_at", len(flows), "took", time.Since(started))
	}
	return err
}

// affected gives the pods' addresses between two models whose flows may fare differently, or says that all may.
func affected(old, m *Model) (addrs []netip.Addr, all bool) {
	if old == nil || !reflect.DeepEqual(old.Node, m.Node) {
		return nil, true
	}
	touched := map[netip.Addr]bool{}
	for addr, rules := range m.Pods {
		if before, known := old.Pods[addr]; !known || !reflect.DeepEqual(before, rules) {
			touched[addr] = true
		}
	}
	for addr := range old.Pods {
		if _, stays := m.Pods[addr]; !stays {
			touched[addr] = true
		}
	}
	// A set that only one of the two has is one that a pod's rules began or ceased to name.
	for name, members := range m.PodSets {
		if before, both := old.PodSets[name]; both {
			for _, a := range difference(before, members) {
				touched[a] = true
			}
		}
	}
	for name, targets := range m.PortSets {
		if before, both := old.PortSets[name]; both {
			for _, t := range difference(before, targets) {
				touched[t.Addr] = true
			}
		}
	}
	if len(touched) > maxAddresses {
		return nil, true
	}
	for a := range touched {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, false
}

// difference gives what only one of the two has.
func difference[T comparable](a, b []T) []T {
	if slices.Equal(a, b) {
		return nil
	}
	in := map[T]int{}
	for _, x := range a {
		in[x] |= 1
	}
	for _, x := range b {
		in[x] |= 2
	}
	var found []T
	for x, where := range in {
		if where != 3 {
			found = append(found, x)
		}
	}
	return found
}
