// berth-node is a Kubernetes of one node for those without a cluster: glue around upstream components.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth.dev/node/internal/components"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/netpol"
	"berth.dev/node/internal/ociimage"
	"berth.dev/node/internal/storage"
	"berth.dev/node/internal/supervise"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	root := &cobra.Command{Use: "berth-node", Short: "A Kubernetes of one node", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(
		command("up", "Start the node and wait until it can be used", up),
		command("down", "Stop the node; keep its data", down),
		command("status", "Say which programs run", status),
		resetCommand(), logsCommand(), kubectlCommand(),
		hidden("supervise", superviseNode), hidden("netpol", runNetpol), hidden("storage", runStorage),
		ociimage.Command(),
	)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "berth-node:", err)
		os.Exit(1)
	}
}

type action func(context.Context, config.Config) error

func command(use, short string, act action) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(command *cobra.Command, _ []string) error {
		c, err := config.Load(os.Getenv)
		if err != nil {
			return err
		}
		return act(command.Context(), c)
	}}
}

func hidden(use string, act action) *cobra.Command {
	made := command(use, "", act)
	made.Hidden = true
	return made
}

func superviseNode(ctx context.Context, c config.Config) error {
	s := &supervise.Supervisor{Logs: c.Path("log"), Status: c.Path("run", "status.json")}
	return s.Run(ctx, components.Programs(c))
}

func runNetpol(ctx context.Context, c config.Config) error {
	return netpol.Run(ctx, netpol.Options{
		Kubeconfig:      c.Path("etc", "netpol.kubeconfig"),
		Socket:          c.Path("run", "netpol.sock"),
		Registry:        c.Path("netpol", "sandboxes.json"),
		PodRange:        c.Pods,
		HostAddressFile: c.Path("etc", "host-addresses"),
	})
}

func runStorage(ctx context.Context, c config.Config) error {
	return storage.Run(ctx, storage.Options{Kubeconfig: c.Path("etc", "storage.kubeconfig"), Dir: c.Path("volumes"), NodeName: components.NodeName})
}
