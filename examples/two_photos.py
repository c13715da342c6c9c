"""From two photos as a camera takes them to an answer: found, aligned, compared, explained."""

from pathlib import Path

import captum_fv as fv

photos = Path(__file__).parent / "pictures"  # of a person who does not exist
found = fv.explain_photos(photos / "a.jpg", photos / "b.jpg")  # model="face.pt2" for real people

print(found)
for sentence in found.sentences():
    print(sentence)
found.save("two_photos.png")  # or .html, a page to look into, or .json
