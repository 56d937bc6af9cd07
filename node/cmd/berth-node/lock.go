package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"berth.dev/node/internal/config"
)

// alone runs what starts, stops or removes the node while no other command does; it waits for its turn. The lock is on the data folder itself,
// so that it leaves nothing and ends with its holder. Without a folder there is no one to wait for.
func alone(c config.Config, act func() error) error {
	folder, err := os.Open(c.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return act()
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("waiting for other commands of this node: %w", err)
	}
	return act()
}
