package netpol

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"berth.dev/node/internal/netpol/hook"
)

// How often the loop looks at what no watch tells: the node's addresses, and whether our table is still in the kernel.
const (
	addressPeriod = time.Second
	auditPeriod   = 5 * time.Second
	retryDelay    = time.Second
)

// controller owns the registry and the firewall; only its loop touches them.
type controller struct {
	options  Options
	client   kubernetes.Interface
	wall     *firewall
	registry *registry
	watched  *watched
	sweeper  *sweeper
	log      *slog.Logger
	wake     chan struct{} // something watched has changed
	requests chan pending
	node     []netip.Addr // as last applied
}

// run closes the namespace if it has no rules yet, catches up with the cluster, and only then opens the socket.
func (c *controller) run(ctx context.Context) error {
	present, err := c.wall.present(ctx)
	if err != nil {
		return err
	}
	if !present {
		if _, err := c.wall.apply(ctx, Compile(Snapshot{PodRange: c.options.PodRange})); err != nil {
			return err
		}
		c.wall.have = nil
	}
	if c.watched, err = watch(ctx, c.client, c.changed); err != nil {
		return err
	}
	if err := c.forgetUnknown(); err != nil {
		return err
	}
	if err := c.reconcile(ctx, nil); err != nil {
		return err
	}
	socket, err := listen(c.options.Socket)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- c.serve(ctx, socket) }()
	c.log.Info("enforcing network policies", "socket", c.options.Socket, "pods", c.options.PodRange)
	err = c.loop(ctx, served)
	if closed := socket.Close(); closed != nil {
		c.log.Error("closing the socket", "error", closed)
	}
	return err
}

func (c *controller) changed() {
	select {
	case c.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

func (c *controller) loop(ctx context.Context, served <-chan error) error {
	addresses, audit := time.NewTicker(addressPeriod), time.NewTicker(auditPeriod)
	defer addresses.Stop()
	defer audit.Stop()
	for {
		var batch []pending
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-served:
			return err
		case p := <-c.requests:
			batch = c.drain(p)
		case <-c.wake:
		case <-addresses.C:
			if node, err := c.options.nodeAddresses(); err == nil && slices.Equal(node, c.node) && c.wall.have != nil {
				continue
			}
		case <-audit.C:
			present, err := c.wall.present(ctx)
			if err != nil {
				c.log.Error("looking at the policy table", "error", err)
			} else if present {
				continue
			}
			c.log.Error("the policy table was deleted by someone else; writing it again")
			c.wall.have = nil
			c.sweeper.model.Store(nil) // any flow may have come up meanwhile
		}
		c.handle(ctx, batch)
	}
}

// drain takes the requests that wait already, so that many pods starting at once share a transaction.
func (c *controller) drain(first pending) []pending {
	batch := []pending{first}
	for {
		select {
		case p := <-c.requests:
			batch = append(batch, p)
		default:
			return batch
		}
	}
}

// handle records what the batch says, makes the kernel follow, and answers.
func (c *controller) handle(ctx context.Context, batch []pending) {
	var waiting []pending
	fresh := map[netip.Addr]bool{}
	for _, p := range batch {
		follow, err := c.record(p.Request, fresh)
		if err != nil || !follow {
			p.answer <- err
			continue
		}
		waiting = append(waiting, p)
	}
	err := c.reconcile(ctx, fresh)
	for _, p := range waiting {
		p.answer <- err
	}
	if err != nil && ctx.Err() == nil {
		c.log.Error("enforcing the policies failed; trying again", "error", err)
		time.AfterFunc(retryDelay, c.changed)
	}
}

// record says whether the kernel has to follow before the request is answered.
func (c *controller) record(r hook.Request, fresh map[netip.Addr]bool) (bool, error) {
	switch r.Op {
	case hook.Add:
		var addr netip.Addr
		for _, a := range r.Addresses {
			if !a.Is4() {
				continue // IPv6 from pods is dropped whoever sends it
			}
			if addr.IsValid() || !c.options.PodRange.Contains(a) {
				return false, fmt.Errorf("pod %s/%s: address %s is not one address of the pod range %s", r.Namespace, r.Name, a, c.options.PodRange)
			}
			addr = a
		}
		if !addr.IsValid() || r.Container == "" || r.Name == "" {
			return false, fmt.Errorf("an ADD without an IPv4 address, a container or a pod's name: %+v", r)
		}
		fresh[addr] = true
		return true, c.registry.add(Sandbox{Container: r.Container, Namespace: r.Namespace, Name: r.Name, UID: r.UID, Addr: addr})
	case hook.Del:
		return c.registry.remove(r.Container)
	case hook.Check:
		if !c.registry.has(r.Container) {
			return false, fmt.Errorf("sandbox %s was never added", r.Container)
		}
		return true, nil
	case hook.Status:
		return true, nil
	default:
		return false, fmt.Errorf("unknown operation %q", r.Op)
	}
}

// reconcile is one pass: read → compile → program → let what is no longer allowed be ended. It takes the same path whatever woke it.
func (c *controller) reconcile(ctx context.Context, fresh map[netip.Addr]bool) error {
	started := time.Now()
	node, err := c.options.nodeAddresses()
	if err != nil {
		return err
	}
	snapshot, err := c.watched.snapshot(c.registry.sandboxes, c.options.PodRange, node)
	if err != nil {
		return err
	}
	model := Compile(snapshot)
	changed, err := c.wall.apply(ctx, model)
	if err != nil {
		return err
	}
	c.node = node
	for addr := range fresh {
		if err := forget(addr); err != nil {
			return err
		}
	}
	c.sweeper.follow(ctx, model)
	if changed {
		c.log.Info("policies enforced", "pods", len(model.Pods), "policies", len(snapshot.Policies), "took", time.Since(started))
	}
	return c.registry.prune(c.known)
}

// forgetUnknown drops, at the start, sandboxes whose pod ended while no controller ran.
func (c *controller) forgetUnknown() error {
	c.registry.sandboxes = slices.DeleteFunc(c.registry.sandboxes, func(s Sandbox) bool { return !c.known(s) })
	return c.registry.save()
}

// known says whether the API server still has the sandbox's pod.
func (c *controller) known(s Sandbox) bool {
	pods, err := c.watched.pods.Pods(s.Namespace).List(labels.Everything())
	return err != nil || slices.ContainsFunc(pods, func(p *corev1.Pod) bool {
		_, same := sandboxOf(p, map[string]Sandbox{s.UID: s})
		return same
	})
}
