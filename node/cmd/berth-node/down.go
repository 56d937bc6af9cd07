package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/node/internal/config"
	"berth.dev/node/internal/host"
	"berth.dev/node/internal/storage"
	"berth.dev/node/internal/supervise"
)

// stopDeadline is how long the supervisor may take to end its programs.
const stopDeadline = 30 * time.Second

func down(_ context.Context, c config.Config) error {
	return alone(c, func() error { return stop(c) })
}

func stop(c config.Config) error {
	if pid := supervisor(c); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		deadline := time.Now().Add(stopDeadline)
		for supervised(c) {
			if time.Now().After(deadline) {
				// Its programs end with it.
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return err
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return sweep(c)
}

// unmountAll detaches the volumes and everything else below the data folder.
func unmountAll(c config.Config) error {
	for _, folder := range []string{"kubelet", "run", "containerd"} {
		if err := host.Unmount(c.Path(folder)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(c.Path("volumes")); err == nil {
		return storage.Cleanup(c.Path("volumes"))
	}
	return nil
}

func resetCommand() *cobra.Command {
	var yes bool
	made := command("reset", "Stop the node and remove everything of it, data included", func(_ context.Context, c config.Config) error {
		if !yes {
			return errors.New("this removes all containers and their data; say --yes")
		}
		return alone(c, func() error { return remove(c) })
	})
	made.Flags().BoolVar(&yes, "yes", false, "really")
	return made
}

func remove(c config.Config) error {
	if err := stop(c); err != nil {
		return err
	}
	if err := host.RemoveCgroup(c.Cgroup()); err != nil {
		return err
	}
	if err := host.RemoveLogLinks(c.Path("podlogs")); err != nil {
		return err
	}
	// The folder itself may hold more than the node's: berthd keeps its rows there.
	for _, name := range []string{"pki", "run", "log", "etc", "etcd", "kubelet", "containerd", "registry", "podlogs", "netpol", "volumes", "kubeconfig", "node.json"} {
		if err := os.RemoveAll(c.Path(name)); err != nil {
			return err
		}
	}
	return nil
}

func status(_ context.Context, c config.Config) error {
	states, err := supervise.Read(c.Path("run", "status.json"))
	if err != nil || !supervised(c) {
		return errors.New("the node does not run; berth-node up starts it")
	}
	names := make([]string, 0, len(states))
	for name := range states {
		names = append(names, name)
	}
	slices.Sort(names)
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "PROGRAM\tPID\tUP\tRESTARTS\tLAST END")
	for _, name := range names {
		state, since := states[name], "-"
		if state.PID != 0 {
			since = time.Since(state.Since).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\n", name, state.PID, since, state.Restarts, state.LastEnd)
	}
	return table.Flush()
}

func logsCommand() *cobra.Command {
	var follow bool
	made := &cobra.Command{Use: "logs PROGRAM", Short: "Show a program's log", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		c, err := config.Load(os.Getenv)
		if err != nil {
			return err
		}
		states, err := supervise.Read(c.Path("run", "status.json"))
		if _, known := states[args[0]]; err != nil || !known {
			return fmt.Errorf("there is no program %q; berth-node status lists them", args[0])
		}
		words := []string{"tail", "-n", "200"}
		if follow {
			words = append(words, "-F")
		}
		return replace("tail", append(words, c.Path("log", args[0]+".log")))
	}}
	made.Flags().BoolVarP(&follow, "follow", "f", false, "go on")
	return made
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{Use: "kubectl", Short: "kubectl as this node's administrator", DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
		c, err := config.Load(os.Getenv)
		if err != nil {
			return err
		}
		if err := os.Setenv("KUBECONFIG", c.Kubeconfig()); err != nil {
			return err
		}
		return replace(c.Program("kube-node"), append([]string{"kube-node", "kubectl"}, args...))
	}}
}

// replace this process by another program.
func replace(program string, words []string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	return syscall.Exec(path, words, os.Environ())
}
