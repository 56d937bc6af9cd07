package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"berth.dev/node/internal/components"
)

// pushImage builds the probe and puts its image into the node's own registry, by the product's own command. It gives the image's name.
func (n *node) pushImage() string {
	n.Helper()
	program := filepath.Join(n.TempDir(), "probe")
	build := exec.CommandContext(n.ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		n.Fatalf("building the probe: %v: %s", err, output)
	}
	name := components.Registry + "/lifecycle/probe:1"
	n.does("image", "build", "--file", program+":/probe", "--entrypoint", "/probe", "--ref", name, "--push", fmt.Sprintf("http://%s:5000", nodeAddress))
	return name
}
