"""Why do these two faces match? Ten lines, on faces that belong to nobody."""

import captum_fv as fv
from captum_fv.report.pictures import plot_pair

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
img_a, img_b = fv.generated_pairs().tensors([0])  # (1, 3, 112, 112) in [0, 1]
threshold = siamese.backbone.threshold

xssab = fv.SimilarityArgumentGradient(siamese, threshold)
map_a, map_b = xssab.attribute(img_a, img_b)  # positive: same person, negative: different

figure = plot_pair(
    img_a[0], img_b[0], {"xssab": (map_a[0], map_b[0])}, siamese(img_a, img_b).item(), threshold
)
figure.savefig("quickstart.png")
