"""Where face pairs come from: LFW, Patch-LFW, and faces that belong to nobody."""

from captum_fv.data.alignment import align_face, crop_to_photo
from captum_fv.data.cascade import find_face, guess_landmarks
from captum_fv.data.face_search import (
    FoundFaces,
    SeveralFacesError,
    align_detected,
    find_faces,
)
from captum_fv.data.faces import FaceFinder, FoundFace
from captum_fv.data.identities import (
    IdentitySet,
    folder_identities,
    generated_identities,
    generated_pairs,
)
from captum_fv.data.images import read_image
from captum_fv.data.lfw import lfw_pairs
from captum_fv.data.mean_face import read_reference_face, reference_face
from captum_fv.data.pair_lists import read_pairs
from captum_fv.data.pairs import PairSet, to_image, to_tensor
from captum_fv.data.patch_folder import read_patch_set, write_patch_set
from captum_fv.data.patched_pairs import PatchedPairs, patch_pairs
from captum_fv.data.patches import PatchPlaces, apply_patches, patch_mask, patch_places
from captum_fv.data.published_patch_lfw import read_published_patch_lfw
from captum_fv.data.swaps import SwappedFaces, generated_swaps, transplant, transplanted_swaps

__all__ = [
    "FaceFinder",
    "FoundFace",
    "FoundFaces",
    "IdentitySet",
    "PairSet",
    "PatchPlaces",
    "PatchedPairs",
    "SeveralFacesError",
    "SwappedFaces",
    "align_detected",
    "align_face",
    "apply_patches",
    "crop_to_photo",
    "find_face",
    "find_faces",
    "folder_identities",
    "generated_identities",
    "generated_pairs",
    "generated_swaps",
    "guess_landmarks",
    "lfw_pairs",
    "patch_mask",
    "patch_pairs",
    "patch_places",
    "read_image",
    "read_pairs",
    "read_patch_set",
    "read_published_patch_lfw",
    "read_reference_face",
    "reference_face",
    "to_image",
    "to_tensor",
    "transplant",
    "transplanted_swaps",
    "write_patch_set",
]
