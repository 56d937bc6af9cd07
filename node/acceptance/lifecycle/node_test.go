package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth.dev/node/internal/supervise"
)

// soon is how long anything may take that takes seconds on an idle machine. Tests share machines with builds.
const soon = 90 * time.Second

// cleaning is kept free of the test's time, for removing the node.
const cleaning = 2 * time.Minute

// instance names the test's node: its interface, network namespace, table and cgroup carry it.
const instance = "life"

// nodeAddress is the node's end of its link.
const nodeAddress = "10.41.251.2"

// node is the one under test.
type node struct {
	*testing.T
	ctx      context.Context
	programs string // the folder of the node's programs
	data     string
	*cluster // once it is up
}

// nodes of this run so far.
var nodes int

// newNode makes an instance that does not run yet. It goes with the test, however that ends.
func newNode(t *testing.T) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the embedded node needs root, and so does its test")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	if end, limited := t.Deadline(); limited {
		ctx, stop = context.WithDeadlineCause(ctx, end.Add(-cleaning), fmt.Errorf("the test's own deadline is %s away", cleaning))
		t.Cleanup(stop)
	}
	// Clients remember authorities by their files' names, so the second node of a run lives elsewhere.
	nodes++
	n := &node{T: t, ctx: ctx, programs: programs(t), data: fmt.Sprintf("%s%d-%d", dataPrefix, os.Getpid(), nodes)}
	n.removeOldOnes()
	must(t, os.Mkdir(n.data, 0o755))
	t.Cleanup(n.remove)
	return n
}

// programs are where `make node` puts them.
func programs(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("BERTH_NODE_BIN")
	if folder == "" {
		var err error
		folder, err = filepath.Abs("../../../build/node/bin")
		must(t, err)
	}
	for _, name := range []string{"kube-node", "containerd", "runc", "berth-policy", "berth-node"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Fatalf("the node's program %s is missing in %s; `make node` builds them", name, folder)
		}
	}
	return folder
}

// in is the same node seen by a part of the test.
func (n *node) in(t *testing.T) *node {
	part := *n
	part.T = t
	return &part
}

// command of berth-node for this instance, whatever the caller's environment says of another.
func (n *node) command(ctx context.Context, words ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(n.programs, "berth-node"), words...)
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "BERTH_") && !strings.HasPrefix(setting, "KUBECONFIG=") {
			command.Env = append(command.Env, setting)
		}
	}
	command.Env = append(command.Env, "BERTH_DATA="+n.data, "BERTH_NODE_BIN="+n.programs, "BERTH_NODE_INSTANCE="+instance,
		"BERTH_NODE_LINK=10.41.251.0/30", "BERTH_POD_CIDR=10.93.0.0/16")
	// A command that was given up may have left its output to a child.
	command.WaitDelay = time.Second
	return command
}

// try a command of berth-node; its error tells what it printed.
func (n *node) try(words ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(n.ctx, 4*time.Minute, fmt.Errorf("berth-node %s took longer than 4 minutes", words[0]))
	defer cancel()
	command := n.command(ctx, words...)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("berth-node %s: %w: %s%s", strings.Join(words, " "), err, output, complaints.Bytes())
	}
	return string(output), err
}

// does a command of berth-node that must succeed, and gives how long it took.
func (n *node) does(words ...string) time.Duration {
	n.Helper()
	began := time.Now()
	output, err := n.try(words...)
	must(n, err)
	took := time.Since(began)
	n.Logf("berth-node %s: %.1f s\n%s", strings.Join(words, " "), took.Seconds(), output)
	return took
}

// children are the programs that the supervisor keeps, by name.
func (n *node) children() map[string]supervise.State {
	n.Helper()
	states, err := supervise.Read(filepath.Join(n.data, "run", "status.json"))
	must(n, err)
	return states
}

// await a condition; its last error tells why it was in vain.
func (n *node) await(what string, limit time.Duration, condition func() error) {
	n.Helper()
	ctx, cancel := context.WithTimeoutCause(n.ctx, limit, fmt.Errorf("%s passed", limit))
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			n.Fatalf("waited in vain for %s (%v): %v", what, context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
