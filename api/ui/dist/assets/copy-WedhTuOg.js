<<<<<<< HEAD:api/ui/dist/assets/copy-BSmN983Q.js
<<<<<<< HEAD:api/ui/dist/assets/copy-BfxxuYDd.js
<<<<<<<< HEAD:api/ui/dist/assets/copy-Dm3iF_HQ.js
import{Ut as e}from"./index-B7CE_Ayv.js";var t={name:`copy`,size:24,node:[[`rect`,{width:`14`,height:`14`,x:`8`,y:`8`,rx:`2`,ry:`2`,key:`17jyea`}],[`path`,{d:`M4 16c-1.1 0-2-.9-2-2V4c0-1.1.9-2 2-2h10c1.1 0 2 .9 2 2`,key:`zix9uf`}]]};t.node;var n=e(t);export{n as t};
========
import{Ut as e}from"./index-DEOGO-Z3.js";var t={name:`copy`,size:24,node:[[`rect`,{width:`14`,height:`14`,x:`8`,y:`8`,rx:`2`,ry:`2`,key:`17jyea`}],[`path`,{d:`M4 16c-1.1 0-2-.9-2-2V4c0-1.1.9-2 2-2h10c1.1 0 2 .9 2 2`,key:`zix9uf`}]]};t.node;var n=e(t);export{n as t};
>>>>>>>> 15b3b5e (ui/map: the range plays):api/ui/dist/assets/copy-BfxxuYDd.js
=======
import{Ut as e}from"./index-BD0MBIyE.js";var t={name:`copy`,size:24,node:[[`rect`,{width:`14`,height:`14`,x:`8`,y:`8`,rx:`2`,ry:`2`,key:`17jyea`}],[`path`,{d:`M4 16c-1.1 0-2-.9-2-2V4c0-1.1.9-2 2-2h10c1.1 0 2 .9 2 2`,key:`zix9uf`}]]};t.node;var n=e(t);export{n as t};
>>>>>>> 3038edf (views, api, ui: the heatmap of traces counts all that match):api/ui/dist/assets/copy-BSmN983Q.js
=======
import{Ut as e}from"./index--IKTKKVB.js";var t={name:`copy`,size:24,node:[[`rect`,{width:`14`,height:`14`,x:`8`,y:`8`,rx:`2`,ry:`2`,key:`17jyea`}],[`path`,{d:`M4 16c-1.1 0-2-.9-2-2V4c0-1.1.9-2 2-2h10c1.1 0 2 .9 2 2`,key:`zix9uf`}]]};t.node;var n=e(t);export{n as t};
>>>>>>> 50a77b6 (ui: the calm state of the first page says what is watched, and nothing stands outside of a landmark):api/ui/dist/assets/copy-WedhTuOg.js
