# Pictures generated, filtered by several threads, and written and read in many formats.
packages=(imagemagick)
commands=(/usr/bin/convert)
loaded=(convert)

work() {
    local format
    export MAGICK_THREAD_LIMIT=2
    under convert -size 900x700 -seed 5 plasma:red-blue -depth 8 first.png
    under convert first.png -resize 150% -rotate 17 -gaussian-blur 0x3 -unsharp 0x2 -modulate 110,80,120 second.png
    under convert first.png -wave 20x100 -swirl 90 -implode 0.3 -colors 64 -dither FloydSteinberg third.gif
    under convert first.png -fft +delete -auto-level fourth.png || true
    under convert first.png \( +clone -negate -motion-blur 0x9+30 \) \( -size 900x700 gradient: \) -composite fifth.tiff
    under convert -size 600x200 xc:white -pointsize 40 -fill black -draw 'text 20,100 "some text" circle 300,100 320,150 bezier 10,10 90,190 300,20 500,150' sixth.bmp
    for format in jpg webp tiff bmp ppm pcx tga sgi xpm miff; do
        under convert first.png -resize 300x "again.$format"
        under convert "again.$format" -strip "again.$format.png"
    done
    under montage first.png second.png sixth.bmp -geometry 200x200+4+4 -tile 2x montage.png || true
    under convert -delay 10 first.png second.png third.gif -resize 200x200! -layers Optimize animation.gif
    identify -format '%f %m %wx%h %#\n' ./*.png ./*.gif ./*.tiff ./*.bmp >"$results/pictures"
}
