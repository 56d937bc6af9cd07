package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"berth.dev/node/internal/netpol/hook"
)

// patience bounds one request of the CNI plugin, whose own patience is longer.
const patience = 15 * time.Second

// pending is a request on its way into the controller's loop, which answers it exactly once.
type pending struct {
	hook.Request
	answer chan error
}

// listen opens the socket, replacing one that a dead controller left.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the socket to others: %w", err), l.Close())
	}
	return l, nil
}

// serve answers the plugin until the listener closes.
func (c *controller) serve(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on the socket: %w", err)
		}
		go func() {
			if err := c.converse(ctx, conn); err != nil {
				c.log.Error("conversation with the CNI plugin", "error", err)
			}
		}()
	}
}

func (c *controller) converse(ctx context.Context, conn net.Conn) error {
	defer func() { _ = conn.Close() }() // whatever was to be said was said or failed
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := conn.SetDeadline(time.Now().Add(patience + time.Second)); err != nil {
		return fmt.Errorf("setting the deadline: %w", err)
	}
	var r hook.Request
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	var answer hook.Answer
	if err := c.ask(ctx, r); err != nil {
		c.log.Error("request of the CNI plugin", "op", r.Op, "pod", r.Namespace+"/"+r.Name, "error", err)
		answer.Error = err.Error()
	}
	return json.NewEncoder(conn).Encode(answer)
}

// ask passes a request through the loop. Waiting for the watches happens here, so that one pod never holds up another.
func (c *controller) ask(ctx context.Context, r hook.Request) error {
	if r.Op == hook.Add {
		if err := c.watched.catchUp(ctx, r.Namespace, r.Name); err != nil {
			return err
		}
	}
	p := pending{r, make(chan error, 1)}
	select {
	case c.requests <- p:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the controller: %w", context.Cause(ctx))
	}
	select {
	case err := <-p.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the rules: %w", context.Cause(ctx))
	}
}
