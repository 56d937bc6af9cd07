package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"berth.dev/node/internal/addons"
	"berth.dev/node/internal/config"
	"berth.dev/node/internal/ociimage"
)

// importImages gives the runtime the images of pause, DNS and metrics; they come with the node and are never pulled. Building them takes
// seconds, so that what the runtime has from the same binaries stays.
func importImages(c config.Config) error {
	wanted, err := addons.Fingerprint(c.Bin)
	if err != nil {
		return err
	}
	listed, err := ctr(c, "images", "list", "--quiet")
	if err != nil {
		return err
	}
	record := c.Path("containerd", "own-images")
	imported, err := os.ReadFile(record)
	if err == nil && string(imported) == wanted && hasAll(strings.Fields(listed), addons.References()) {
		return nil
	}
	images, err := addons.Images(c.Bin)
	if err != nil {
		return err
	}
	tar := c.Path("run", "images.tar")
	if err := ociimage.WriteTar(tar, images); err != nil {
		return err
	}
	defer os.Remove(tar)
	if _, err := ctr(c, "images", "import", tar); err != nil {
		return err
	}
	return os.WriteFile(record, []byte(wanted), 0o600)
}

func hasAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(one string) bool { return !slices.Contains(list, one) })
}

// ctr asks the runtime.
func ctr(c config.Config, words ...string) (string, error) {
	command := exec.Command(c.Program("ctr"), append([]string{"--address", c.ContainerdSocket(), "--namespace", "k8s.io"}, words...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(words, " "), err, output)
	}
	return string(output), nil
}
