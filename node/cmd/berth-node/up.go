package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"berth.dev/node/internal/components"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/host"
	"berth.dev/node/internal/link"
	"berth.dev/node/internal/supervise"
)

func up(ctx context.Context, c config.Config) error {
	if err := host.Prerequisites(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Path("run"), 0o700); err != nil {
		return err
	}
	err := alone(c, func() error {
		if supervised(c) {
			return nil
		}
		if err := c.Save(); err != nil {
			return err
		}
		return start(c)
	})
	if err != nil {
		return err
	}
	return awaitNode(ctx, c)
}

// start cleans up after a node that was killed, then starts the supervisor inside the node's network namespace.
func start(c config.Config) error {
	if err := sweep(c); err != nil {
		return fmt.Errorf("cleaning up after the last run: %w", err)
	}
	if err := components.Prepare(c, time.Now()); err != nil {
		return err
	}
	if err := link.Up(c); err != nil {
		return err
	}
	if err := host.MakeCgroup(c.Cgroup()); err != nil {
		return err
	}
	log, err := supervise.OpenLog(c.Path("log", "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	file, err := os.OpenFile(c.Path("log", "supervisor.log"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	command := exec.Command("nsenter", "--net="+link.NamespacePath(c), c.Program("berth-node"), "supervise")
	command.Env = append(os.Environ(), "BERTH_DATA="+c.Data, "BERTH_NODE_BIN="+c.Bin)
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	return os.WriteFile(c.Path("run", "supervisor.pid"), []byte(strconv.Itoa(command.Process.Pid)), 0o600)
}

// supervisor is the process id of this node's running supervisor, 0 when there is none.
func supervisor(c config.Config) int {
	text, err := os.ReadFile(c.Path("run", "supervisor.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	// A number can be another process by now: ours has our command line and our data folder.
	line, lineErr := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	environment, environmentErr := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if lineErr != nil || environmentErr != nil || !strings.Contains(string(line), "supervise") ||
		!strings.Contains(string(environment), "BERTH_DATA="+c.Data+"\x00") {
		return 0
	}
	return pid
}

func supervised(c config.Config) bool { return supervisor(c) != 0 }

// sweep removes what a node that no longer runs left: processes, mounts, interfaces. Data stays.
func sweep(c config.Config) error {
	if err := host.KillCgroup(c.Cgroup()); err != nil {
		return err
	}
	// Shims carry their runtime's socket among their arguments.
	if err := host.KillWith(c.ContainerdSocket()); err != nil {
		return err
	}
	if err := unmountAll(c); err != nil {
		return err
	}
	if err := link.Down(c); err != nil {
		return err
	}
	if err := host.ForgetNetwork(c.Network()); err != nil {
		return err
	}
	// As after a reboot: the runtime's state is of processes that are gone.
	for _, folder := range []string{c.Runtime(), c.Path("run", "containerd")} {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	return nil
}
