package ociimage

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
)

// Command is `image`, whose one subcommand builds an image and delivers it.
func Command() *cobra.Command {
	command := &cobra.Command{Use: "image", Short: "Build container images without a container engine"}
	command.AddCommand(buildCommand())
	return command
}

type buildFlags struct {
	rootFS     string
	files      []string
	references []string
	push       string
	output     string
	config     Config
}

func buildCommand() *cobra.Command {
	var flags buildFlags
	command := &cobra.Command{
		Use:   "build",
		Short: "Build an image of one layer, write it as a tarball and push it",
		Example: `  image build --from-rootfs rootfs.tar --ref registry.berth.internal/berth/base:latest --entrypoint /usr/bin/tini --push http://10.41.0.2:5000
  image build --file ./pause:/pause --ref berth.internal/pause:1 --entrypoint /pause --output pause.tar`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return build(command, flags) },
	}
	set := command.Flags()
	set.StringVar(&flags.rootFS, "from-rootfs", "", "tarball of a root file system to use as the layer")
	set.StringArrayVar(&flags.files, "file", nil, "file to put into the image, SOURCE:PATH or SOURCE:PATH:OCTAL_MODE (repeatable)")
	set.StringArrayVar(&flags.references, "ref", nil, "full name of the image with registry and tag (repeatable)")
	set.StringVar(&flags.push, "push", "", "URL of the registry to push to")
	set.StringVar(&flags.output, "output", "", "tarball to write")
	set.StringArrayVar(&flags.config.Entrypoint, "entrypoint", nil, "one word of the entrypoint (repeatable)")
	set.StringArrayVar(&flags.config.Cmd, "cmd", nil, "one word of the default command (repeatable)")
	set.StringArrayVar(&flags.config.Env, "env", nil, "NAME=VALUE (repeatable)")
	set.StringVar(&flags.config.User, "user", "", "uid, uid:gid or name; root when not given")
	set.StringVar(&flags.config.WorkingDir, "workdir", "", "folder that the command starts in")
	set.StringVar(&flags.config.StopSignal, "stop-signal", "", "signal that ends the command; SIGTERM when not given")
	set.StringVar(&flags.config.Architecture, "arch", "", "architecture that the files are for, such as amd64; this machine's when not given")
	command.MarkFlagsMutuallyExclusive("from-rootfs", "file")
	command.MarkFlagsOneRequired("from-rootfs", "file")
	command.MarkFlagsOneRequired("push", "output")
	command.MarkFlagsOneRequired("ref")
	return command
}

func build(command *cobra.Command, flags buildFlags) error {
	image, err := makeImage(flags)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("reckoning the digest: %w", err)
	}
	if flags.output != "" {
		images := make(map[string]v1.Image, len(flags.references))
		for _, reference := range flags.references {
			images[reference] = image
		}
		if err := WriteTar(flags.output, images); err != nil {
			return err
		}
	}
	for _, reference := range flags.references {
		if flags.push != "" {
			if err := Push(command.Context(), flags.push, reference, image); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(command.OutOrStdout(), "%s@%s\n", reference, digest); err != nil {
			return fmt.Errorf("printing the digest: %w", err)
		}
	}
	return nil
}

func makeImage(flags buildFlags) (v1.Image, error) {
	if flags.rootFS != "" {
		return FromRootFS(flags.rootFS, flags.config)
	}
	files := make([]File, 0, len(flags.files))
	for _, text := range flags.files {
		file, err := parseFile(text)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return FromFiles(files, flags.config)
}

func parseFile(text string) (File, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		return File{}, fmt.Errorf("the file %q is not SOURCE:PATH or SOURCE:PATH:OCTAL_MODE", text)
	}
	file := File{Source: parts[0], Path: parts[1]}
	if len(parts) == 3 {
		mode, err := strconv.ParseUint(parts[2], 8, 9)
		if err != nil {
			return File{}, fmt.Errorf("the mode of the file %q: %w", text, err)
		}
		file.Mode = os.FileMode(mode)
	}
	return file, nil
}
