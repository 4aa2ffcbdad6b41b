# PostScript to pictures, to PDF, and that again to pictures: fonts, paths, transparency, patterns.
packages=(ghostscript)
commands=(gs)
loaded=(gs)

work() {
    under gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=png16m -r100 -sOutputFile=page%d.png "$data/pages.ps"
    under gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=pdfwrite -sOutputFile=pages.pdf "$data/pages.ps"
    under gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=ppmraw -r72 -dNumRenderingThreads=2 -dTextAlphaBits=4 \
        -dGraphicsAlphaBits=4 -sOutputFile=again%d.ppm pages.pdf
    under gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=jpeg -r50 -dNumRenderingThreads=2 -dBufferSpace=1000000 \
        -dMaxBitmap=0 -sOutputFile=band%d.jpg "$data/pages.ps"
    under gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=txtwrite -sOutputFile=text pages.pdf
    sha256sum ./*.png ./*.ppm ./*.jpg text >"$results/pictures"
}
