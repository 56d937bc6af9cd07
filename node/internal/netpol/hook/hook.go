// Package hook is the conversation between the CNI plugin and the policy controller: one JSON request and one JSON answer a connection,
// over a unix socket that only root may open. No Kubernetes in it, so the plugin stays small.
package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Op is what the plugin asks for.
type Op string

// The operations. Add answers when the kernel enforces the pod's rules; Check when the pod is known; Status when the controller works.
const (
	Add    Op = "add"
	Del    Op = "del"
	Check  Op = "check"
	Status Op = "status"
)

// Request is a question about one sandbox; Status fills only Op.
type Request struct {
	Op        Op
	Container string
	Namespace string
	Name      string
	UID       string
	Addresses []netip.Addr
}

// Answer is empty when all is well.
type Answer struct {
	Error string
}

// Call asks the controller at the socket until it answers or the context ends: a controller that is restarted in the middle is back in a
// moment, and every request may be repeated.
func Call(ctx context.Context, socket string, r Request) error {
	for {
		answer, err := once(ctx, socket, r)
		if err == nil {
			if answer.Error != "" {
				return errors.New(answer.Error)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the network policy controller does not answer at %s: %w", socket, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func once(ctx context.Context, socket string, r Request) (Answer, error) {
	var answer Answer
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return answer, err
	}
	defer func() { _ = conn.Close() }() // the answer is already read
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return answer, err
		}
	}
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return answer, err
	}
	return answer, json.NewDecoder(conn).Decode(&answer)
}
