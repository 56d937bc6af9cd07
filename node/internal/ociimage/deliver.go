package ociimage

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// WriteTar writes the images, by their full references, as one tarball for `ctr images import`. The file is either whole or absent.
func WriteTar(file string, images map[string]v1.Image) error {
	byReference := make(map[name.Reference]v1.Image, len(images))
	for text, image := range images {
		reference, err := name.NewTag(text, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("the image's name: %w", err)
		}
		byReference[reference] = image
	}
	unfinished := file + ".new"
	if err := tarball.MultiRefWriteToFile(unfinished, byReference); err != nil {
		return fmt.Errorf("writing the images: %w", err)
	}
	if err := os.Rename(unfinished, file); err != nil {
		return fmt.Errorf("naming the images' file: %w", err)
	}
	return nil
}

// Push uploads the image to the registry at this http or https URL, under the repository and tag of reference; the reference's own registry
// is what clients call it and need not resolve here. Layers that the registry has are not sent again.
func Push(ctx context.Context, registry, reference string, image v1.Image) error {
	target, err := target(registry, reference)
	if err != nil {
		return err
	}
	if err := remote.Write(target, image, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s: %w", target, err)
	}
	return nil
}

func target(registry, reference string) (name.Tag, error) {
	address, err := url.Parse(registry)
	if err != nil {
		return name.Tag{}, fmt.Errorf("the registry's URL: %w", err)
	}
	var options []name.Option
	switch address.Scheme {
	case "http":
		options = append(options, name.Insecure)
	case "https":
	default:
		return name.Tag{}, fmt.Errorf("the registry's URL %q begins with neither http:// nor https://", registry)
	}
	if address.Host == "" || (address.Path != "" && address.Path != "/") {
		return name.Tag{}, fmt.Errorf("the registry's URL %q is not scheme://host:port", registry)
	}
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("the image's name: %w", err)
	}
	return name.NewTag(address.Host+"/"+tag.RepositoryStr()+":"+tag.TagStr(), options...)
}
